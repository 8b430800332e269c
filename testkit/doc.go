// Package testkit tests reducers without a store, a clock or a goroutine. A
// [TestStore] drives the engine that the live store drives, so order,
// cancellation, sequences, retries and timers are what they are in production.
//
// # An exhaustive test
//
// A test says everything that happens, in the order in which it happens:
//
//	ts := testkit.New(t, State{}, Reducer{})
//	ts.Send(ReserveSeats{"e1", "A"}, func(s *State) { s.Phase = Loading })
//	testkit.Reply(ts, LoadSection{"e1", "A"}, Inventory{Free: 10})
//	ts.Receive(SectionLoaded{"e1", "A", 10}, func(s *State) {
//		s.Phase = Ready
//		s.Free = 10
//	})
//
// The func after an action is given the state before it and makes of that the
// state expected after it; without one the state must not change. Whatever the
// test leaves out is a failure: a change of the state, an action that effects
// have sent back, and, when the test ends, a request, stream, timer or hold in
// flight. What was cancelled is not in flight any more.
//
// As in a store, what effects send back is reduced before anything else comes
// from outside. So Send, Reply and Advance are refused while an action waits
// for its [TestStore.Receive]. Of several the first is received, or all of
// them in any order with [TestStore.ReceiveUnordered].
//
// Where a test is about something else, [TestStore.SkipActions] and
// [TestStore.SkipInFlight] pass over what it does not care for, and say so in
// its log.
//
// # Answering requests
//
// A request is found by its value, and its answer must be of its result's type,
// which the compiler checks:
//
//   - effect.Do and effect.Fire are answered by [Reply] and [Fail],
//   - effect.Stream by [Emit] and [End],
//   - the opaque functions of Of.Run and Of.Stream, which are never called, by
//     their name: [TestStore.Return], [TestStore.Panic], [TestStore.Yield] and
//     [TestStore.Finish].
//
// An expected error equals one that wraps it, so Receive(LoadFailed{ErrNotFound})
// holds for any words around ErrNotFound.
//
// What comes to nothing and has no result to say so, as an action for a child
// that is not there, is a fault: a dead letter in a store, a failure here unless
// the call before was [TestStore.ExpectFault].
//
// # Time
//
// Time stands still but for [TestStore.Advance]. What is due on the way happens
// at its own time, one deadline after the other: timers fire, attempts time out,
// retries begin. If that leaves actions to be received, time stops there and
// goes on when they have been received, for one of them may cancel a timer that
// is due later, or start one that is due before. [TestStore.Now] tells where
// time stands.
//
// # Failures
//
// The first failure ends the test. Its report shows what was expected and what
// came, as a diff in which all fields count and times compare by their instant;
// the actions that wait; what is in flight, each with its key and the time it
// has left; and the calls of the test so far with what they started and ended.
//
// # Purity
//
// Every step is taken again, several times, on clones of the state and the
// action, with the same time, ids and metadata. If the state or the effects come
// out otherwise the reducer is not pure: it reads the clock, chance, the order
// of a map or something it keeps to itself. The report shows what differed. The
// action must be left as it was, and so must effects in flight: a request that
// shares a slice with the state is a data race in a live store.
//
// Clones are deep: unexported fields, cycles and shared pointers are seen to,
// and errors keep their identity. A pointer into the middle of something, as to
// an element of a slice, becomes a pointer of its own. Locks, funcs and channels
// cannot be cloned, and a state or action that has one is refused by the name of
// the field, unless it has a method Clone that gives its own type. That method
// is used for nothing else, and must then be as deep as its reducer changes the
// state; the check of captured values leaves such a state alone.
//
// # Captured values
//
// The function that maps a result to an action may use the request and the
// result, and nothing else:
//
//	return effect.Do(LoadSection{a.Event, a.Section}, func(r effect.Result[Inventory]) Action {
//		return SectionLoaded{Customer: a.Customer} // not in the request
//	})
//
// A result may come after a restart, when only the request is known. So
// whenever a test answers a request, the step that asked is taken again with
// one value of its action, its state or its env changed at a time. If it asks
// for the very same, under the same key and for the same child, the result must
// become the same action. If it does not, the function uses that value, and the
// report names it. What is in the request cannot be reported, nor what decides
// which request is made. A value that cannot change alone, because the reducer
// then takes another path, may go unnoticed; strings and ids are therefore also
// changed wherever they occur at once.
//
// # Exploration
//
// [Explore] is given a [Model]: a reducer, or several stores, what is sent to it
// from outside, and a simple picture of the world with a function for each type
// of request. It visits every order in which inputs can come, requests act and are
// answered and timers fire, with every way to spread the faults that were allowed:
//
//	model := testkit.Model[Order, Action, Bank]{
//		Reducer: Reducer{},
//		Inputs:  [][]Action{{Place{}}, {Cancel{}}},
//		Answers: []testkit.Answer{testkit.On((*Bank).charge, testkit.Fails(ErrDeclined)), testkit.On((*Bank).refund)},
//	}
//	testkit.Explore(t, model,
//		testkit.Always("charged once", func(_ *Order, b *Bank) bool { return b.Charges <= 1 }),
//		testkit.Sometimes("an order is paid", func(o *Order, _ *Bank) bool { return o.Phase == Paid }),
//		testkit.Finally("paid or refunded", func(o *Order, b *Bank) bool { return (b.Charges > b.Refunds) == (o.Phase == Paid) }),
//		testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1))
//
// A promise that breaks is reported with the fewest steps that lead to it, each
// with what it changed and what is pending, and as a test to paste: [Retrace].
// What is too large to explore can be walked through at random with [Simulate].
// What a verdict means is said in docs/exploration.md.
//
// # Replay
//
// [Replay] runs the journal of a live store (store.Journal) through a reducer, and
// fails at the first step that differs.
//
// # Concurrency
//
// A TestStore belongs to one goroutine, and starts none. Tests with a TestStore
// each may run in parallel. Explore calls reducers, answers and promises from
// several goroutines at once, each with values of its own.
package testkit
