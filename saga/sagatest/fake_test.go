package sagatest_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeT records what a test would report.
type fakeT struct {
	logs, failures []string
	cleanups       []func()
}

// stop is what a fakeT ends a test with.
type stop struct{}

func (*fakeT) Helper()            {}
func (*fakeT) Name() string       { return "fake" }
func (f *fakeT) Failed() bool     { return len(f.failures) > 0 }
func (f *fakeT) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }

func (f *fakeT) Logf(format string, args ...any) {
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}

func (f *fakeT) Errorf(format string, args ...any) {
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *fakeT) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	panic(stop{})
}

// FailNow makes it one of testify's.
func (f *fakeT) FailNow() { panic(stop{}) }

// try runs a test against a fakeT, its cleanups included.
func try(test func(t *fakeT)) *fakeT {
	f := &fakeT{}
	guard := func(run func()) {
		defer func() {
			if v := recover(); v != nil && v != (stop{}) {
				panic(v)
			}
		}()
		run()
	}
	guard(func() { test(f) })
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		guard(f.cleanups[i])
	}
	return f
}

// fails runs a test that must fail once, and gives its report.
func fails(t *testing.T, test func(t *fakeT)) string {
	t.Helper()
	f := try(test)
	require.Len(t, f.failures, 1, "failures")
	return f.failures[0]
}

// mentions holds a report to fragments of what it must say, in order.
func mentions(t *testing.T, report string, fragments ...string) {
	t.Helper()
	pattern := "(?s)"
	for _, f := range fragments {
		pattern += ".*" + regexp.QuoteMeta(f)
	}
	require.Regexp(t, pattern, report)
}
