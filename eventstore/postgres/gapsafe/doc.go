// Package gapsafe holds the positions of eventstore/postgres to their promise:
// who has read up to a position has seen every event at or below it that there
// will ever be. It has no code of its own; its tests are the proof.
//
// TestManyProcesses has writers in several processes append with delays before
// and after each step that matters, roll back, lose their connections, hold
// transactions open and begin them early, while readers in other processes follow
// the log. What the readers were given must be what was committed, once, in order.
// By default it writes some thousand events; RONDO_GAPSAFE_EVENTS says how many.
//
// The tests of mutants take the three tempting mistakes (to read what is there,
// to read it in the same statement that looks at the locks, to lock after the
// position was drawn) through the one order of events that shows each, and through
// the same order without the mistake.
//
// BenchmarkPositions measures what each way of making positions safe costs, and
// BenchmarkReaderLag how far a reader is behind while another transaction is held.
package gapsafe
