// Package closure holds the import rules of this module: which package may
// import which, and which of them depend on nothing beyond the standard library
// and two small modules. It has no code of its own; the rules are its tests.
package closure
