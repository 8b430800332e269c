// Package recorder makes a store durable: what its reducer decides on is in an
// event store before it is decided. A [Reducer] wraps any other. Each action
// that comes is appended to the store's stream, and reduced when the append has
// been committed; so its effects run only then. The stream is a write-ahead log
// of actions: a new process reduces them once more, without their effects, and
// has the state that was lost.
//
//	Given ──▶ held, in line ──▶ Append ──▶ Appended ──▶ Recorded, reduced ──▶ its effects
//	                              ╲
//	                               ╲──▶ a conflict with the past: Load ──▶ Loaded, and again
//	                                ╲─▶ cannot be: Halt
//
// Actions that come while an append is on its way wait for it and share the
// next one. Who asked waits with them: an action that waits is held, and resumed
// in its own place.
//
// An action is recorded as an event of its type, with its id as the event's and
// its time beside it, so that the wrapped reducer is given the same Env whenever
// it is reduced. Actions that only tell something (an answer, which the state has
// in it already) are reduced as they come: see [Config].Tells.
//
// # A new process
//
// It reads the log, makes the states with [Reducer.Replay], and begins its stores
// with them. Those that the last process left with something to do are sent
// [Wake]: they look whether anything has been appended since, and then take up
// the action that [Config].Resume gives, before anything else.
//
// A store may also begin with nothing. Its first append finds that the stream has
// events already, a conflict with its own past, which is loaded. That is how a
// store comes back that has left memory, and how a store learns of the last
// append of a process that was killed with it on its way.
//
// # What a wrapped reducer must take
//
// A store never reduces what was cancelled. But the recorder has taken up what
// came before the cancellation, and reduces it in its turn. So a wrapped reducer
// must be able to tell what comes too late, by its phase for instance, and do
// nothing then.
//
// A store reduces what a reducer sends itself before anything else. But the
// recorder appends it first, like what comes from outside, and others may come
// between. So a wrapped reducer decides all that it can at once, and sends itself
// only what tells.
//
// An exploration of this package shows what becomes of one that cannot tell.
//
// # When appending fails
//
// What may succeed later is tried again. That is safe with an append whose
// outcome is unknown too, since its events have their ids: those that are there
// already are a success. A store that cannot append, or whose stream is written
// by another process once it has appended to it itself, halts: what goes on in it
// is cancelled, it takes no more actions and answers nobody, and asks for [Halt].
//
// # The world around the stores
//
// What is no store but must not be forgotten either is written with [Log.Keep],
// by the same rules.
package recorder
