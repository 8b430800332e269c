// Package memory is an event store that keeps everything in memory: for tests,
// demos and simulations. It has all that the contract of package eventstore
// knows, [eventstore.Lookup], [eventstore.Claims], [eventstore.Snapshots],
// [eventstore.Checkpoints] and [eventstore.Keys] included, and gives the same
// answers as the homes that write to disk. What it holds is gone with the
// process.
//
//	store, err := memory.New(memory.Config{})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//
// # Concurrency
//
// All methods may be called from any goroutine. A store has no goroutines of its
// own. One mutex orders the appends; the positions have no gaps. Reads take the
// mutex for a moment, to see how much there is, and go through it without
// copying and without the mutex: they keep what was there when they began, so
// whoever ranges over a sequence may append, and close the store, meanwhile.
//
// A subscription reads on its caller's goroutine. While it has read everything it
// waits, and an append wakes all that wait; it costs an append nothing when none
// does. One that is slow holds up nobody.
package memory
