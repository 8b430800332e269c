// Package engine interprets effects: it holds a state, reduces actions, and
// says what is to be started, stopped and reduced next. It does no work itself:
// there is no goroutine, clock, channel or I/O in it. A driver feeds it with
// actions, outcomes and the time, and carries out its commands. The live store
// and the testkit are such drivers, so order, cancellation, sequence, retry and
// timers mean the same in production and in a test.
//
// # How a driver drives it
//
// Input goes in by Receive (an action from outside), Settle and Emit (what came
// of a call) and Tick (the time). Each may put actions into the queue; Next
// reduces one of them. Before more input, Next is called until it has none, so
// that Send effects run before the next outside action. After each call the
// driver carries out Commands.
//
// # What the parts are
//
//   - A task is a call, a timer or a hold that has not settled.
//   - A group is a sequence or a scope with tasks still open below it.
//   - A track counts what is unfinished of all that one action caused.
//
// # What follows from an end
//
// Within a step effects start in the order in which they stand. What ends
// meanwhile (a result that is reduced, what is cancelled or replaced) is only
// noted; when the step's own effects have started, each end is accounted for in
// its order: what stands in line under its key starts, then its sequence goes on,
// then its track counts one less. So nothing starts in the middle of a cancel,
// and a Cancel or a Prune sees the sequence its own action came from. A call that
// starts and ends before a driver has fetched the commands is never shown to it.
//
// Everything is in lists, or in maps that are not ranged over where the order
// would show: the same input gives the same commands.
//
// An Engine is not safe for concurrent use.
package engine
