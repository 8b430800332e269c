package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// measurement says what is run, and how long.
type measurement struct {
	bench     string
	benchtime string
	count     int
}

// modules are where benchmarks are, and which packages of them are run.
var modules = []struct{ module, packages string }{
	{"github.com/seed57833328/rondo/benchmarks", "."},
	{"github.com/seed57833328/rondo", "./store/..."},
}

// run saves what the benchmarks print to the file raw, and shows it on progress.
//
// Everything is run once, then everything again, instead of each count times in
// a row as go test -count does: when the machine is slower for a while, all
// sides are, and the medians leave that out.
func (m measurement) run(ctx context.Context, raw string, progress io.Writer) (err error) {
	out, err := os.Create(raw)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for round := range m.count {
		fmt.Fprintf(progress, "round %d of %d\n", round+1, m.count)
		for _, mod := range modules {
			dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", mod.module).Output()
			if err != nil {
				return fmt.Errorf("find module %s: run this in its folder benchmarks: %w", mod.module, err)
			}
			test := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", m.bench,
				"-benchmem", "-benchtime", m.benchtime, "-count", "1", "-timeout", "1h", mod.packages)
			test.Dir = strings.TrimSpace(string(dir))
			test.Stdout = io.MultiWriter(out, progress)
			test.Stderr = progress
			if err := test.Run(); err != nil {
				return fmt.Errorf("benchmarks of %s, packages %s: %w", mod.module, mod.packages, err)
			}
		}
	}
	return nil
}
