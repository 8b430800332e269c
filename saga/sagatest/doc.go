// Package sagatest tests sagas, for those who write them, and homes of sagas, for
// those who write homes.
//
// # One saga, step by step
//
// [Begin] starts a saga without a runner, a store, a clock or a goroutine. The test
// says what becomes of each of its effects:
//
//	s := sagatest.Begin(t, Reservation, Reserve{Customer: "ann", Quantity: 2})
//	sagatest.Reply(s, HoldSeats{2}, []string{"A1", "A2"})
//	s.Reject(Charge{10000}, errDeclined)
//	s.Undone(ReleaseSeats{})
//	s.Ended(saga.Compensated, "payment: card declined")
//
// What decides is the code that a runner runs, on the record that it keeps.
//
// An effect is found by its request, and has come to one of these:
//
//   - [Reply]: it was done; [Saga.Undone], of an undo
//   - [Saga.Reject]: it was refused, and nothing was done
//   - [Saga.Fail], [Saga.Timeout]: an attempt has failed, and it is not known what
//     was done; another follows when its delay has passed, if the policy has one
//   - [Saga.Exhaust]: all attempts that are left have failed so
//   - [Saga.Later]: its result comes by another way, which is then said by Reply
//   - [Saga.ChildCompleted], of a child saga, and what is said there
//   - each of them after [Saga.Late], for an effect that was given up
//
// [Saga.Signal] and [Saga.Cancel] are what comes from outside, [Saga.Advance] lets
// time pass, with what is due on the way, and [Saga.Crash] has another process go
// on from the record, at any moment.
//
// Time is truthful: an attempt that is not answered runs out of its timeout, and so
// do those that follow. A deadline of five minutes comes after the ten attempts of
// a request that has ten seconds each, which a test is a good place to find out.
//
// # What must be said
//
// What a test leaves out fails it: when it ends, no effect, undo or timer may be
// open that was not asserted by [Saga.Pending] and [Saga.Timer], and an end must
// have been asserted by [Saga.Ended] or [Saga.Stuck]. [Saga.Advance] is told every
// action that is reduced on the way. A message that is refused fails the test unless
// [Saga.ExpectRefused] was said before, and so does a decision that could not be
// made. The state is for the test to assert if it cares, by [Saga.Changed].
//
// Each decision is made many times over. If another one comes of it the reducer, or
// a function given to saga.On, is not pure. The types of state, actions and requests
// are held to what JSON keeps, and so is every state.
//
// # Every order, every failure
//
// [Model] makes a model for testkit.Explore, Simulate and Retrace of a saga and the
// world that its handlers act on: every order of results, timers, signals and
// cancellations, with crashes, lost answers, failures and duplicates at every step,
// held to promises over the saga's [View] and the world. What breaks one is reported
// with the fewest steps that lead to it.
//
// The world must be what the real one promises, no better. That an undo may come
// before what it undoes, and that a key may come again, are where most sagas break:
// a world that remembers neither is the place to find out whether yours must.
//
// A saga that has child sagas is explored with them, and with the messages between
// them, at whatever moment those come.
//
// # Homes
//
// [Run] and [RunSagas] are for those who write a home. They hold it to the contract
// of package saga: Run its methods, RunSagas sagas that are run on it, through
// crashes, faults and takeovers.
//
//	func TestStore(t *testing.T) {
//		sagatest.Run(t, sagatest.Home{Open: func(t *testing.T) saga.Store { … }})
//	}
//
// # Concurrency
//
// A [Saga] belongs to one goroutine, and starts none. The reducer, handlers and
// promises of a Model are called from several goroutines at once, each with values
// of its own.
package sagatest
