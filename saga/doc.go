// Package saga runs durable sagas: reducers whose every decision is committed
// before its effects run. A saga survives the end of its process at any point,
// goes on in another, and undoes what it has done when it cannot go on.
//
// The promise: decisions exactly once; effects at least once with a stable key;
// exactly once when the effect commits in our transaction.
//
// # A saga
//
// The reducer is an ordinary one. Its state and actions are plain data, kept as
// JSON, and its effects are those of [Of]:
//
//	var fx saga.Of[Action]
//
//	func (Reserver) Reduce(o *Order, a Action, env reducer.Env) effect.Effect[Action] {
//		switch a := a.(type) {
//		case Reserve:
//			return fx.All(
//				fx.Do(HoldSeats{a.Quantity}, saga.Undo(ReleaseSeats{})), // and how to undo it
//				fx.After("deadline", 5*time.Minute, Expired{}))
//		case Charged:
//			return fx.All(fx.Pivot(), fx.Cancel("deadline"), fx.Do(ConfirmSeats{o.Seats}))
//		case Expired:
//			return fx.Compensate("the hold ran out")
//		}
//		return fx.None()
//	}
//
// [Define] gives names to what a record keeps: actions, requests, and for each
// type of request the function that makes an action of its result. After a
// restart there is nothing else to go by.
//
//	var Reservation = saga.Define("reservation", Reserver{}, saga.Types{
//		Actions:  []saga.ActionType{saga.Action[Reserve]("reserve"), …},
//		Requests: []saga.RequestType{saga.On("hold-seats", onHeld), saga.Request[ReleaseSeats]("release-seats"), …},
//	})
//
// For steps that follow one another, [Steps] writes the reducer.
//
// # A decision
//
// An action from outside, a result or a timer is an input. The reducer decides on
// it, and one commit holds the new state, the effects that begin with it, what
// undoes them, the timers and a line of history. Only then the effects begin. What
// a reducer sends (Send) belongs to the same decision.
//
// Recovery loads the record and goes on. It never runs code over history, so that
// a deploy cannot break what is in flight; [Definition.Replay] tells, as
// information, where today's reducer would decide otherwise: come to another state, or
// ask for other requests, undos or timers, or for another end.
//
// # Effects
//
// A handler is declared with effect.Handle, as for a store. [EffectID] is its
// idempotency key, type/key/sequence/index: the same in all attempts, in whatever
// process. Whoever acts on it stores the key with what it does, and answers a
// repetition with the stored result.
//
// A result is accepted while its effect is pending. An attempt that fails is
// followed by another ([RetryPolicy]), and how often it was tried is committed,
// so that it survives a crash. When the attempts have run out the reducer is told
// of the error, and it is not known what was done. An error that is [Rejected] is
// certain. A handler that returns [Later] has its result given by
// [Operator.Resolve]. Commands to aggregates, here or in another process, are given
// with package saga/participant.
//
// Where the handlers of effects do their work in transactions of the home itself
// (HandleTx of saga/sqlite and saga/postgres, given the home), a decision, the effects
// that it begins, the decisions on their results and so on are one commit, up to
// [Config].MaxChain effects. Each decision has its line of history. Whatever goes
// wrong, or comes meanwhile, rolls that back, and each is committed by itself: so
// such a handler may be called again after it has returned, and should change nothing
// but the database. One with middleware is always committed by itself.
//
// # Compensation
//
// What undoes an effect is kept from the commit that issues it, and dropped when
// the effect is rejected, not when it times out. Compensate, Cancel and an
// operator give up what is pending and undo the stack: the last first, one at a
// time, each under the effect's key with /undo behind it, until it is done. After
// [Config].StuckAfter attempts the saga is Stuck, with its stack as it is, and
// waits for an operator.
//
// An undo may come before what it undoes: whoever does it must then refuse what
// comes later. After a Pivot nothing is undone; what is left is tried until it is
// done.
//
// # Children
//
// A saga runs another and waits for its end: see [Definition.Child]. Parent and
// child write to each other through the inbox, in the commits of their decisions:
// so the child is started once, and its end reaches the parent whoever runs the
// two, and whichever process ends in between.
//
//	fx.Do(Stays.Child(BookStay{Nights: 2}))                    // in the reducer
//	saga.OnChild("stay", Stays, onStay)                        // in Types.Requests
//
// A parent that compensates cancels its children, the last first, and waits for
// the end of each. A child that has completed keeps what undoes it, so that it can
// be cancelled still; one that is past its pivot cannot. A parent that is stuck or
// paused hears of the end when it goes on. One that was terminated leaves its
// children alone; that their end is heard by nobody is told to [Hooks].Refused,
// as it is when the parent was purged. A child must not be purged while its parent
// may compensate: then the parent is Stuck.
//
// # Running
//
// [New] makes a [Runner] on a [Store]; [Runner.Run] makes the process a worker.
// Workers share the shards of each type by leases. When one ends its leases run
// out and others take over; one that comes back under the same name takes over at
// once. A process that does not run sagas can start them, send them signals and
// wait for their end.
//
// # Operators
//
// An [Operator] lists sagas, shows them and their histories, and mends them:
// Retry, Resume, Resolve, Compensate, MarkUndone, Pause, Terminate, and for whole
// types and workers PauseType and Drain. Each needs an actor and a reason, which
// stand in the history, of types and workers in the PauseLog, and can be run dry. It
// tells who runs sagas (Workers) and which inputs they are stuck at (DeadLetters,
// Redrive). It needs the store alone; the command rondo saga is one.
//
// # What goes wrong
//
// A reducer that panics or returns what makes no sense leaves its saga Stuck as it
// was before, with the input parked; what follows for that saga waits in order,
// and other sagas go on. So does a record that would become too large. A result that
// is too large leaves its saga Stuck too, with the effect pending, which was done: it
// is no failure, on which a reducer would act as if the outcome were unknown. The
// bound of both is [Config].MaxRecord. Messages are known by their ids, of which a
// saga remembers the last 128.
//
// # Concurrency
//
// The methods of Runner and Operator may be called from any goroutine. One saga
// makes one decision at a time; different sagas make theirs side by side.
// Decisions that wait while others are being committed are committed together.
//
// Reducers and the functions given to [On] must be pure and are called from
// goroutines of senders and workers. A handler is called by many goroutines at
// once, with a context that ends when its attempt has taken too long, the saga
// has moved to another worker or the runner ends. There is no bound on how many
// are at work; a handler that needs one has it from effect/resilience:
//
//	effect.Handle(gateway.Charge, resilience.Concurrency(8))
//
// Waiting for a turn is part of the time that an attempt may take. An attempt that
// had none when that was over has failed as any other, and counts.
//
// Start and Signal return when the decision is committed, or the message kept.
// What they have returned is seen by every call that begins afterwards. A saga
// that waits is not in memory and has no goroutine.
//
// Run owns all goroutines of a worker and ends when they have ended. Shutdown
// waits for effects at work and commits what comes of them; when its context ends
// they are cancelled, and done again by whoever takes over.
//
// # Tests
//
// Package sagatest tests a saga step by step, and explores it: every order of what
// can happen, with every failure.
//
// # Sources
//
// Sagas are those of Garcia-Molina and Salem (1987); pivot and retriable steps are
// from the same line of work. Fencing tokens are as Kleppmann describes them.
package saga
