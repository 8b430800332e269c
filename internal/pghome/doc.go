// Package pghome is what stores in a PostgreSQL database have in common: a schema
// brought up by migrations, beside those of other stores, and what errors mean in
// plain words. Each store says in its own package documentation what of this its
// users may count on.
//
// # Concurrency
//
// All functions and methods may be called from any goroutine, and from many
// processes at once.
package pghome
