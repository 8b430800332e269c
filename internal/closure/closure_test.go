package closure_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module = "github.com/seed57833328/rondo"
	uuid   = "github.com/google/uuid"
	sync   = "golang.org/x/sync"

	failsafe = "github.com/failsafe-go/failsafe-go"
	clone    = "github.com/huandu/go-clone"
	goose    = "github.com/pressly/goose/v3"
	pgx      = "github.com/jackc/pgx/v5"
	sqlite   = "modernc.org/sqlite"
)

// A rule says what one package of this module may import besides the standard
// library. Imports point down: a package may only name packages of the rules
// above its own.
type rule struct {
	pkg     string   // relative to the module
	local   []string // packages of this module, relative to it
	modules []string // other modules, any package of them
	// core packages are what every program that uses the library links. Their
	// whole dependency closure is held, not only what they import themselves.
	core bool
	// anyModule lifts the rule on other modules, for packages that only tests
	// import.
	anyModule bool
}

var rules = []rule{
	{pkg: "internal/tree", modules: []string{uuid}},
	{pkg: "internal/display"},
	{pkg: "effect", core: true, local: []string{"internal/tree"}, modules: []string{uuid}},
	{pkg: "reducer", core: true, local: []string{"effect", "internal/tree"}, modules: []string{uuid}},
	{pkg: "workflow", core: true},
	{pkg: "internal/engine", local: []string{"effect", "reducer", "internal/tree"}, modules: []string{uuid}},
	{pkg: "internal/fingerprint", modules: []string{uuid}},
	{pkg: "internal/journal", local: []string{"effect", "reducer", "internal/fingerprint"}},
	{pkg: "store", core: true, local: []string{"effect", "reducer", "internal/tree", "internal/engine", "internal/fingerprint", "internal/journal"}, modules: []string{uuid, sync}},
	{pkg: "internal/kept", core: true},
	{pkg: "eventstore", core: true, local: []string{"internal/kept"}, modules: []string{uuid}},
	{pkg: "eventstore/memory", core: true, local: []string{"eventstore"}, modules: []string{uuid}},
	{pkg: "eventstore/erasure", core: true, local: []string{"eventstore"}, modules: []string{uuid}},
	{pkg: "eventstore/publish", local: []string{"eventstore"}, modules: []string{uuid, failsafe}},
	{pkg: "internal/sqlitefile", local: []string{"eventstore"}, modules: []string{goose, sqlite}},
	{pkg: "eventstore/sqlite", local: []string{"eventstore", "internal/sqlitefile"}, modules: []string{uuid}},
	{pkg: "internal/pghome", modules: []string{goose, pgx}},
	{pkg: "eventstore/postgres", local: []string{"eventstore", "internal/pghome"}, modules: []string{uuid, pgx}},
	{
		pkg: "aggregate", local: []string{"effect", "eventstore", "internal/fingerprint", "reducer", "store", "workflow"},
		modules: []string{uuid, clone},
	},
	{pkg: "command", local: []string{"aggregate", "effect", "eventstore", "reducer"}, modules: []string{uuid, failsafe}},
	{pkg: "internal/rehearsal"},
	{pkg: "saga", local: []string{"effect", "eventstore", "internal/kept", "internal/rehearsal", "internal/tree", "reducer", "store"}, modules: []string{uuid}},
	{pkg: "saga/memory", local: []string{"eventstore", "saga"}},
	{pkg: "saga/participant", local: []string{"aggregate", "command", "effect", "eventstore", "saga"}, modules: []string{uuid}},
	{pkg: "saga/sqlite", local: []string{"effect", "eventstore", "internal/sqlitefile", "saga"}, modules: []string{uuid}},
	{pkg: "saga/postgres", local: []string{"effect", "eventstore", "internal/pghome", "saga"}, modules: []string{uuid, pgx}},
	{pkg: "testkit", local: []string{"effect", "reducer", "internal/tree", "internal/engine", "internal/fingerprint", "internal/journal", "internal/display"}, anyModule: true},
}

// coreModules are the only modules a core package may depend on, directly or
// through others.
var coreModules = []string{module, uuid, sync}

func TestImportClosure(t *testing.T) {
	t.Parallel()
	readDirs(t)
	for _, violation := range check(list(t), rules) {
		t.Error(violation)
	}
}

func TestRulesPointDown(t *testing.T) {
	t.Parallel()
	var above []string
	for _, r := range rules {
		require.Subset(t, above, r.local, "%s may import a package whose rule is not above its own", r.pkg)
		above = append(above, r.pkg)
	}
}

// TestCheck shows that each kind of violation is found and says which way it
// came in.
func TestCheck(t *testing.T) {
	t.Parallel()
	base := []rule{
		{pkg: "low", core: true, modules: []string{uuid}},
		{pkg: "high", core: true, local: []string{"low"}},
		{pkg: "kit", local: []string{"low"}, anyModule: true},
	}
	clean := []listed{
		{ImportPath: "errors", Standard: true, Imports: []string{"internal/errinternal"}},
		{ImportPath: uuid, Imports: []string{"errors"}},
		{ImportPath: "example.com/assert", Imports: []string{"errors"}},
		{ImportPath: module + "/low", Imports: []string{"errors", uuid}},
		{ImportPath: module + "/high", Imports: []string{"C", "errors", module + "/low"}},
		{ImportPath: module + "/kit", Imports: []string{"example.com/assert", module + "/low"}},
		{ImportPath: module + "/app", Imports: []string{"example.com/assert", module + "/kit"}},
	}
	tests := map[string]struct {
		change []listed // replaces entries of clean, by import path
		want   []string
	}{
		"nothing wrong": {},
		"a foreign module": {
			change: []listed{
				{ImportPath: module + "/low", Imports: []string{"example.com/assert"}},
			},
			want: []string{
				"low may not import example.com/assert",
				"low must not depend on example.com/assert: low → example.com/assert",
				"high must not depend on example.com/assert: high → low → example.com/assert",
			},
		},
		"a foreign module behind an allowed one": {
			change: []listed{
				{ImportPath: uuid, Imports: []string{uuid + "/internal/clock"}},
				{ImportPath: uuid + "/internal/clock", Imports: []string{"example.com/assert"}},
			},
			want: []string{
				"low must not depend on example.com/assert: low → " + uuid + " → " + uuid + "/internal/clock → example.com/assert",
				"high must not depend on example.com/assert: high → low → " + uuid + " → " + uuid + "/internal/clock → example.com/assert",
			},
		},
		"a module whose path only begins like an allowed one": {
			change: []listed{
				{ImportPath: uuid + "x", Imports: nil},
				{ImportPath: module + "/low", Imports: []string{uuid + "x"}},
			},
			want: []string{
				"low may not import " + uuid + "x",
				"low must not depend on " + uuid + "x: low → " + uuid + "x",
				"high must not depend on " + uuid + "x: high → low → " + uuid + "x",
			},
		},
		"an allowed module in a package that may not have it": {
			change: []listed{
				{ImportPath: module + "/high", Imports: []string{uuid}},
			},
			want: []string{"high may not import " + uuid},
		},
		"an import that points up": {
			change: []listed{
				{ImportPath: module + "/low", Imports: []string{module + "/app"}},
				{ImportPath: module + "/app", Imports: nil},
			},
			want: []string{"low may not import " + module + "/app"},
		},
		"a ruled package that is not there": {
			change: []listed{
				{ImportPath: module + "/high", Error: &listError{Err: "no Go files in /high"}},
			},
			want: []string{"high is not a package: no Go files in /high"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listing := slices.Clone(clean)
			for _, c := range test.change {
				listing = slices.DeleteFunc(listing, func(l listed) bool { return l.ImportPath == c.ImportPath })
				listing = append(listing, c)
			}
			require.ElementsMatch(t, test.want, check(listing, base))
		})
	}

	t.Run("a rule for a package that was never listed", func(t *testing.T) {
		t.Parallel()
		require.Equal(t,
			[]string{"gone is not a package: not listed"},
			check(clean, []rule{{pkg: "gone"}}))
	})
}

// check returns one line for each way in which a listing breaks the rules, in
// the rules' order.
func check(listing []listed, rules []rule) []string {
	packages := make(map[string]listed, len(listing))
	for _, l := range listing {
		packages[l.ImportPath] = l
	}
	standard := func(path string) bool {
		l, ok := packages[path]
		return path == "C" || path == "unsafe" || ok && l.Standard
	}
	var violations []string
	for _, r := range rules {
		path := module + "/" + r.pkg
		l, ok := packages[path]
		if !ok {
			violations = append(violations, fmt.Sprintf("%s is not a package: not listed", r.pkg))
			continue
		}
		if l.Error != nil && len(l.Imports) == 0 {
			violations = append(violations, fmt.Sprintf("%s is not a package: %s", r.pkg, l.Error.Err))
			continue
		}
		for _, imported := range l.Imports {
			if !standard(imported) && !r.allows(imported) {
				violations = append(violations, fmt.Sprintf("%s may not import %s", r.pkg, imported))
			}
		}
		if !r.core {
			continue
		}
		for _, chain := range foreign(packages, standard, path) {
			last := chain[len(chain)-1]
			violations = append(violations, fmt.Sprintf("%s must not depend on %s: %s", r.pkg, last, arrows(chain)))
		}
	}
	return violations
}

func (r rule) allows(path string) bool {
	if within(path, module) {
		return slices.Contains(r.local, strings.TrimPrefix(path, module+"/"))
	}
	return r.anyModule || slices.ContainsFunc(r.modules, func(m string) bool { return within(path, m) })
}

// foreign walks the closure of a package breadth first and returns the shortest
// import chain to each package outside the core modules. It does not look
// behind those: what a foreign package drags in is not another mistake.
func foreign(packages map[string]listed, standard func(string) bool, from string) [][]string {
	var found [][]string
	seen := map[string]bool{from: true}
	for queue := [][]string{{from}}; len(queue) > 0; queue = queue[1:] {
		chain := queue[0]
		for _, imported := range packages[chain[len(chain)-1]].Imports {
			if seen[imported] || standard(imported) {
				continue
			}
			seen[imported] = true
			next := append(slices.Clone(chain), imported)
			if slices.ContainsFunc(coreModules, func(m string) bool { return within(imported, m) }) {
				queue = append(queue, next)
			} else {
				found = append(found, next)
			}
		}
	}
	return found
}

func within(path, module string) bool {
	return path == module || strings.HasPrefix(path, module+"/")
}

func arrows(chain []string) string {
	short := make([]string, len(chain))
	for i, path := range chain {
		short[i] = strings.TrimPrefix(path, module+"/")
	}
	return strings.Join(short, " → ")
}

// listed is the part of `go list -json` that the rules need.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Error      *listError
}

type listError struct{ Err string }

// list returns the packages of this module and all they depend on, without
// their tests. Packages that do not compile are listed by what they import.
func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps", "-test=false",
		"-json=ImportPath,Standard,Imports,Error", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", cmd, &stderr)

	var listing []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listed
		err := decoder.Decode(&l)
		if errors.Is(err, io.EOF) {
			return listing
		}
		require.NoError(t, err, "decode the output of %s", cmd)
		listing = append(listing, l)
	}
}

// readDirs reads every directory of the module. The go command keeps a test's
// result until something changes that the test process has looked at, and it
// does not see what `go list` looks at on the test's behalf.
func readDirs(t *testing.T) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		return err
	})
	require.NoError(t, err)
}
