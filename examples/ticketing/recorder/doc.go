// Package recorder makes a store durable: what its reducer decides on is in an
// event store before it is decided. A [Reducer] wraps any other. Each action
// that comes is appended to the store's stream, and reduced when the append has
// been committed; so its effects run only then. A new process reads the stream,
// reduces the same actions once more without their effects, and has the state
// that was lost: the stream is a write-ahead log of actions.
//
//	Given ──▶ held, in line ──▶ Append ──▶ Appended ──▶ Recorded, reduced ──▶ its effects
//	                              │  ╲
//	                     conflict ▼   ╲──▶ cannot be: Halted
//	                             Load
//
// Actions that come while an append is on its way wait for it and share the
// next one. Who asked waits with them: an action that waits is held, and resumed
// in its own place.
//
// An action is recorded as an event of its type, with its id as the event's and
// its time beside it, so that the wrapped reducer is given the same Env whenever
// it is reduced. Actions that only tell something (an answer, which the state has
// in it already) are reduced as they come.
//
// # Late
//
// A store never reduces what was cancelled, but the recorder has taken up what
// came before the cancellation, and reduces it in its turn. So a wrapped reducer
// must be able to tell an action that comes too late, from its phase for instance,
// and do nothing. The exploration of this package shows what happens otherwise.
//
// # When appending fails
//
// What may succeed later is tried again. That is safe with an append whose
// outcome is unknown too, since its events have their ids: those that are there
// already are a success.
//
// A conflict says that somebody else has written to the stream. Before the
// store's own first append that is its past: what another process wrote last, or
// what was not read at the start. It is loaded, and the append made again. So a
// store may also start with nothing and find its past by its first append. Later
// it is another process that works on the same stream, and the store halts: it
// takes no more actions, answers nobody, and asks for [Halt].
package recorder
