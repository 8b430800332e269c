package testkit

// T is what the kit needs of a test. *testing.T, *testing.B, *testing.F and
// *rapid.T have it. Fatalf must not return.
//
// If a T also has the method Failed() bool or Skipped() bool, a test that has
// failed or was skipped is not blamed for what it leaves open.
type T interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// over tells that a test has ended for another reason.
func over(t T) bool {
	if f, ok := t.(interface{ Failed() bool }); ok && f.Failed() {
		return true
	}
	s, ok := t.(interface{ Skipped() bool })
	return ok && s.Skipped()
}

// fatalf ends the test. It does not return.
func fatalf(test T, format string, args ...any) {
	test.Helper()
	test.Fatalf(format, args...)
	panic("testkit: T.Fatalf has returned")
}
