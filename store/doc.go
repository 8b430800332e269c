// Package store runs reducers live. A [Store] holds a state, reduces one action
// at a time, starts the effects that the reducer returns, and feeds their results
// back as actions.
//
//	counter, err := store.New(State{}, Reducer{}, store.Config{
//		Handlers: []effect.Handler{effect.Handle(db.Load), effect.Handle(gateway.Charge)},
//	})
//	err = counter.Send(ctx, Add{1})
//	n := store.View(counter, func(s *State) int { return s.N })
//	err = counter.Shutdown(ctx)
//
// # Sending
//
// [Store.Send] hands over an action and returns when it is accepted.
// [Store.SendAndSettle] returns when it and all that it caused has finished:
// actions, requests, timers, holds, in other stores too. [Ask] returns the
// answer: the first action caused by the one sent that matches. Concurrent asks
// never take each other's answer. [Store.Until] waits for a state, whoever brings
// it about.
//
// Metadata (reducer.WithMeta) goes with an action to everything it causes, and is
// found in a handler's context. What a handler sends with that context, to
// whatever store, has the handler's action as its cause, keeps its correlation,
// and counts for who waits with SendAndSettle.
//
// # Effects
//
// A request is done by the handler that [Config] has for its type, on one of the
// store's workers. Its result, a panic included, is mapped to an action and
// reduced. A stream has a goroutine of its own, and is asked for its next value
// when the one before has been reduced. Timers, keys, policies, retries and
// sequences mean what package effect says.
//
// What comes to nothing without a result to say so is a dead letter: a
// fire-and-forget request that failed, an effect that makes no sense, what a
// shutdown or a panic cut short. [Store.DeadLetters] keeps the last of them
// whole, [Store.Redeliver] does one again, [Store.Adopt] takes over those of
// another store.
//
// # Looking on
//
// [View] reads the state between two actions. [Store.Observe] is told of every
// step, [Hooks] of what a log, a metric or a trace needs; [LogHooks] are ready
// made. [Store.Health] says how a store is, and why.
//
// # Ending
//
// [Store.Shutdown] refuses what comes from outside, lets what goes on finish,
// and closes the store. When its context ends first, what is left is cancelled,
// listed in an [AbandonedError] and kept as dead letters. A panic of a reducer,
// or of a function that maps a result, stops its store with a [StoppedError];
// other stores go on.
//
// # Many stores
//
// [Keyed] hosts a store for each key: made on first use, passivated when it is
// idle or its place is needed. An idle store is some hundred bytes and no goroutine.
//
// # Journals
//
// With [Config].Journal a store writes down each action that it reduces, with its
// time, cause and metadata, the effects that followed and a hash of the state:
// JSON Lines, bounded and redacted as [JournalConfig] says. testkit.Replay runs
// such a file through a reducer again.
//
// # Concurrency
//
// All exported functions and methods may be called from any goroutine. What
// follows is said of one store; stores share nothing but the handlers and, below
// one Keyed, the workers.
//
// Order. Actions are reduced one at a time, those of one sender in the order in
// which they were sent. What a reducer sends back (Send effects) is reduced
// before the next action from outside. A step is: reduce, register keys, start
// effects, tell those who look on: asks, the hook Reduced, observers in the order
// in which they came, predicates of Until. Nobody is told of an action before it
// is reduced and its effects have been started. After a Cancel has been reduced,
// no result of its key is.
//
// Visibility. What a goroutine has sent is reduced before a View that it calls
// afterwards. What happened before a Send happens before its reduction; what a
// reducer did happens before the handlers, observers and views that come after.
//
// Who runs what. There is no goroutine per store. A sender that finds the store
// idle reduces on its own goroutine, together with what others queue meanwhile,
// up to a bound after which a new goroutine takes over; any other queues its
// action and leaves. The same holds for workers that bring a result and for
// timers. So reducers, the functions that map results, matches of Ask,
// predicates, observers and hooks run on goroutines of senders, workers and
// timers, one at a time: the store's turn. Handlers, and the hooks EffectContext
// and EffectEnded, run on workers, or for a stream on its own goroutine. The
// function of a View runs on its caller or in the store's turn; a panic of it is
// its caller's.
//
// Blocking. Send blocks while the mailbox is full, if Config.WhenFull says so,
// until its context ends; a send that is given up was not accepted. Since a
// sender may reduce for others, do not hold a lock in a Send that a reducer,
// observer or hook takes. A handler may wait for any store, its own too, with
// the context that it was given: it gives up its place among the workers
// meanwhile, so that even a single worker does not deadlock, nor does a ring of
// stores that send to each other.
//
// What may be called from where. A handler may call everything but Shutdown of
// its own store. An observer may Send, to its own store too, with the context
// that it was given, View, and wait for other stores; to wait for its own would
// be to wait for itself and is refused. Hooks, matches and predicates run in the
// store's turn and must not wait for it. A reducer calls nothing: it is pure.
//
// Backpressure. The mailbox bounds actions from outside. Results, timers,
// feedback and what observers send are never held up by it, or what makes room
// could wait for room. Requests wait for workers in a queue without bound: a
// reducer that may ask for more than can be done bounds that itself, with a key's
// policy or by what it accepts. Streams are never more than one value ahead.
//
// A handler's context ends when its effect is cancelled, its attempt has timed
// out or the handler has returned.
//
// # Time and goroutines
//
// A store takes both from its [Runtime]. The default is the machine's, which
// works in a testing/synctest bubble too, if the store is shut down before that
// ends. Package store/sim has a simulated one, on which a whole application
// repeats from a seed. Handlers that sleep with [Sleep] work on all of them.
package store
