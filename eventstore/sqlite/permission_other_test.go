//go:build !unix

package sqlite_test

// forbidden is for systems whose permissions are those of Unix.
func forbidden(string) error { return nil }
