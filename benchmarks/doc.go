// Package benchmarks measures the same work on rondo and on what one would use
// instead of it. It has nothing to import; `go run ./cmd/table` measures and
// prints the table.
//
// # Sides
//
//   - rondo: package store with its default configuration.
//   - bubbletea: the Elm architecture as most Go programs know it, without
//     terminal: no renderer, no input, no signal handler.
//   - protoactor: actors with the default mailbox and dispatcher.
//   - loop: a goroutine that reads a channel, as one would write it by hand.
//   - mutex: a lock and a call. It is the limit: no queue, no order, no loop.
//
// # Work
//
// Every side decides with the same function on the same state (see state.step),
// so what differs is only how messages reach it and what becomes of what it asks
// for. Nothing is measured as enqueued only: the timer runs until the last
// message has been reduced, and then the count must be right.
//
// What is not the same is said where each side is written, and in README.md.
package benchmarks
