// Package aggregate hosts aggregates over an event store. What is to be written
// is a [Decider]: what a command makes happen, and what an event makes of the
// state. Everything else is the host's: loading, waiting, appending, conflicts,
// repetition, memory.
//
//	sections, err := aggregate.New("section", Sections{}, registry, log, aggregate.Config[Section]{})
//	got, err := sections.Execute(ctx, "A", Reserve{Order: "r1", Seats: 2})
//	fmt.Println(got.State.Free, got.Version) // nothing needs to be queried
//
// # Decide, append, evolve
//
// An aggregate is a stream of events, named for its category and id, and begins
// empty in memory. The first command has it loaded; those that come meanwhile
// wait in the order in which they came. A command is decided, what it makes
// happen is appended if the stream is still at the version that was decided on,
// and only then does the state change and the caller hear of it. If others were
// faster, what they have appended is put on top of the state and the command is
// decided again, a bounded number of times.
//
// While an append is on its way commands wait. When it is done they are decided
// together, each on the state that the one before leaves, and committed in one
// append: a hot aggregate is as fast as its store is for many events. If the store
// refuses them, they are decided again, one by one if need be, so that one that
// cannot be stored does not fail its neighbours.
//
// # Feedback
//
// Execute returns when what the command has led to is durable, with the state,
// its version and its position: an error or a [Feedback], never both. The state is
// what a fold of the stream up to that version gives: the host evolves by events
// as they will be read, encoded and decoded, unless that makes no difference for
// their type. It is the caller's own.
//
// # Decisions that append nothing
//
// An append is guarded by the version. A rejection is not, nor is a decision that
// nothing is to be done, and the state in memory may be out of date: another
// process may have freed a seat. So before such a decision is told the stream is
// read on from the version known, unless the state is known to have been the
// stream's since the command came. [Freshness] can say otherwise.
//
// # Idempotency
//
// A command with a key ([WithKey]) is done once. What became of it, feedback or
// rejection, is committed together with its events, with a hash of the command,
// and told again to whoever repeats it: in this process or another, after a
// restart, or since its answer was lost.
//
// # Rejections and errors
//
// A Decide that returns an error has decided: it is a *[RejectionError], which
// [Reject] makes. What else can happen is told apart by [IsConflict], [Retryable]
// and [IsPermanent]; package aggregate/httpreply makes problem details of all of
// them. A decider that panics fails that command with a *[DeciderError]; the next
// one works.
//
// # Within
//
// A host is a store.Keyed. The state of each store holds an aggregate, a
// workflow.Workflow that says when to load it, and the commands in line; loads and
// appends are its requests. So the testkit explores it: with conflicts, lost
// answers, crashes and repetitions in every order.
//
// # Concurrency
//
// All methods may be called from any goroutine. Deciders run one command of an
// aggregate at a time, in the order in which they came, and those of different
// aggregates at once. Decide runs on goroutines of callers and workers, in the
// turn of its aggregate, so it should not be long; Evolve runs there too, and on
// workers while an aggregate is loaded. What Execute has returned is seen by
// every command that begins afterwards, in this process or another.
//
// When a caller's context ends its command is taken out of the line, or the error
// says that it may be done: see [InterruptedError]. An aggregate that nobody uses
// leaves memory after Config.IdleAfter, or when another needs its place.
package aggregate
