// Package memory is a home for sagas that keeps everything in memory: for tests,
// demos and simulations. It gives the same answers as the homes that write to
// disk. What it holds is gone with the process; several runners of one process
// may share it, as workers that take over from each other.
//
//	home := memory.New(memory.Config{})
//	runner, err := saga.New(home, saga.Config{…}, Reservation)
//
// # Concurrency
//
// All methods may be called from any goroutine. One mutex guards everything and
// is held for a moment; a home has no goroutines of its own but those that close
// the channels of [Store.Wake].
package memory
