// Package integration has the tests and benchmarks of package aggregate that need
// event stores beyond the one in memory: two hosts on one database, and what a
// command costs there. There is nothing else in it.
package integration
