// Package command takes commands in and has them carried out: at once, soon, or at
// a given time. What was accepted is recorded before anything is done, so that it
// is carried out whatever happens to the process.
//
//	bus, err := command.New(db, db, []command.Route{
//		command.Handle("reserve-seats", func(ctx context.Context, c ReserveSeats) (aggregate.Feedback[Section], error) {
//			return sections.Execute(ctx, c.Section, c, command.Key(ctx))
//		}),
//	}, command.Config{})
//
//	got, err := command.Dispatch(ctx, bus, ReserveSeats{Section: "A", Seats: 2})
//	fmt.Println(got.State.Free, got.Version) // nothing needs to be queried
//
//	receipt, err := command.Schedule(ctx, bus, at, ReleaseSeats{Section: "A"})
//	record, err := bus.Status(ctx, receipt.ID)
//
// # Commands and routes
//
// A command is a plain type that says by a method Returns what its handler
// answers, as the requests of package effect do. [Handle] leads the commands of a
// type to their handler, under a name; [New] takes all routes, and refuses names
// and types that come twice. A handler is typically the Execute of a host of
// package aggregate.
//
// [Dispatch], [Enqueue] and [Schedule] take a command as a Go value. The methods
// of [Bus] with these names take an [Envelope], as it comes from the network. Its
// payload is decoded strictly: what the command does not know is refused, and a
// value of another type. Then the command's method Validate() error is asked, if it
// has one. A [*ValidationError] lists what is wrong, field by field. Nothing that
// is refused is recorded.
//
// # Status
//
// A command is a stream of events in the event store: command-<id>. It is pending
// from its being accepted on, and in the end consumed or failed: a rejection
// ([aggregate.RejectionError]), an error that does not pass, or a cancellation. So
// there is nothing else to set up, and commands are where all else is: in memory,
// in one file or in PostgreSQL.
//
// [Dispatch] carries a command out on its caller's goroutine and returns the
// handler's answer or its error. If its context ends meanwhile, or the process
// dies, the command stays pending, and [Bus.Run] carries it out when nothing has
// been heard of it for Config.Grace. Whoever still wants the answer dispatches it
// again with the same id. What is queued or scheduled is carried out by Run alone;
// its sender has a [Receipt], and [Bus.Status], [Bus.Wait] and [Bus.Cancel].
//
// # What is promised
//
// A command for which Dispatch, Enqueue or Schedule has returned a success, or an
// [*InterruptedError] that says Recorded, is carried out. Its handler is called at
// least once, and more than once if a process dies at it, if what came of it could
// not be recorded, or if an error may pass. Each time the command's id ([ID]) is
// the same: it is the idempotency key with which the effect happens once. With
// [Key] an aggregate sees to that; its host must keep keys for longer than all
// processes may be down (aggregate.Config.KeepKeys).
//
// A command that is scheduled is not begun before its time, by the clock of the
// process that has the lease, and at once when that has come: there is one timer
// for the next one, and no polling. It survives restarts; what has become due
// meanwhile is begun at once. A cancellation that has returned nil has come before
// the beginning: which of the two was first is decided by the version of the
// command's stream.
//
// The same id with the same payload, by whatever way it comes, is one command. Who
// comes second is told what became of the first. With another payload it is an
// *aggregate.KeyReusedError.
//
// # Failure
//
// An error that may pass (Config.Retryable) has a queued command tried again, after
// waits that double, until Config.Attempts; a dispatched one fails with it at once,
// and may be given again with its id. Attempts are counted in the log when they
// begin, so a command at which the process dies each time is given up too. A panic
// fails its command, with the stack; the next one works. A command whose type has
// no handler in the process that runs stays pending: during a deployment another
// one may have it.
//
// Errors know their HTTP status, for package aggregate/httpreply: 400 for what is not
// valid, 403, 404 and 409 for what may not be, is not there or is in the way, and 202
// for a receipt.
//
// # Tenants and actors
//
// The tenant of the context (eventstore.WithTenant) is the command's, and is in the
// context in which its handler is called, as are the actor, the correlation and the
// trace context of reducer.WithMeta. One Run serves all tenants. An envelope from
// outside cannot speak for another tenant or actor than the context's.
//
// Config.Authorize is asked before a command is recorded, and by Run again before
// each attempt. [Middleware] is around each attempt: [Logging] and [Tracing] are
// here, without a dependency.
//
// # Concurrency
//
// All methods may be called from any goroutine. Dispatch runs the handler on its
// caller's. Run is started in every process; one of them, which has the lease of
// the bus, is at work, and the others wait for it. It carries out at most
// Config.Concurrency commands at once, each on a goroutine for which it waits.
// Commands begin in the order in which they were due or accepted, and may overtake
// each other unless they have the same ordering key ([InOrder]). Run keeps in
// memory which commands are pending, not their payloads, and at most
// Config.MaxPending of them. After a restart it reads the log from the first
// pending command on; what sleeps for long is recorded anew now and then so that
// this is never far.
//
// When the lease is lost the contexts of handlers end. One that goes on regardless
// may be at work together with that of the next holder; what it records then is
// refused, or is the same.
//
// All waits and clocks are those of package time, so a bus over a home in memory
// works in a testing/synctest bubble.
//
// # Sources
//
// The envelope and its statuses are those of command stores as in Gregor Hohpe and
// Bobby Woolf, "Enterprise Integration Patterns" (2003: Command Message, Guaranteed
// Delivery, Idempotent Receiver). Recording anew what lies behind so that a log's
// tail can be left is the cleaning of Rosenblum and Ousterhout, "The Design and
// Implementation of a Log-Structured File System" (1992).
package command
