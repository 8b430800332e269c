// Package eventstore has the contract of an event store: streams of events with
// optimistic concurrency, one order over all of them, subscriptions and
// snapshots. Three homes keep it: eventstore/memory, eventstore/sqlite (one file)
// and eventstore/postgres. Package eventstoretest holds any home to it.
//
// # Appending
//
// An append is one or more writes, each of events to a stream at an expected
// version. All of it is committed, or nothing is:
//
//	done, err := store.Append(ctx, eventstore.Write{
//		Stream:   "seats-A",
//		Expected: eventstore.Exactly(7), // what the decision was made on
//		Events:   []eventstore.Event{held},
//	})
//
// The first event of a stream has version 1. [Exactly] names the version of the
// last event there must be, [None] says that the stream must have none, [Exists]
// that it must have some, [Any] that it does not matter. What is found to be
// otherwise is a [*ConflictError] with the actual version, at once, whoever was
// faster; an append is never tried again blindly.
//
// An append whose events are already there fails with a [*DuplicateEventError],
// whatever versions it expects. So whoever does not know what became of an
// append ([*UnknownOutcomeError]) appends the same events again, or asks with
// [Lookup].
//
// A write can carry a [Claim], an idempotency key with a result: it is committed
// with the events, and a second append with a key that is taken fails with a
// [*ClaimedError], which has the first one's result.
//
// # Reading
//
// Events are read one after the other, without loading them all:
//
//	for event, err := range store.ReadStream(ctx, "seats-A", 1) {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// An error ends the sequence. ReadAll goes through all streams in the order of
// their [Position], Subscribe does so and then waits for what comes.
//
// Positions are gap-safe: who has read up to p has seen every event at or below
// p that there will ever be. They ascend, with gaps, and within a stream they
// ascend with the versions.
//
// # Types
//
// Events are bytes to a store. A [Registry] turns values of Go types into events
// and back: each type has a name and a schema version, and data of older schemas
// is brought up step by step by upcasters. What was recorded once must decode for
// ever: eventstoretest.Golden keeps a file of each form.
//
// # Snapshots
//
// A [Snapshot] is a stream's state at a version, so that loading needs the later
// events only. It is a cache ([Snapshots]): one that is older than what is there
// is not kept, and one that cannot be read is left aside. A [SnapshotPolicy] says
// when to take one: [SnapshotEvery] so many events, [SnapshotAfterBytes],
// [SnapshotAfter] a time, [SnapshotWhenAny] of them.
//
// # Tenants
//
// The tenant of a context ([WithTenant]) is part of every key: streams, event
// ids, snapshots, claims and checkpoints of different tenants have nothing to do
// with each other. Without one the tenant is "", unless the home was told to
// require one: then it is [ErrNoTenant]. [AllTenants] reads across them.
//
// # Concurrency
//
// All methods of a store may be called from any goroutine. A sequence is for
// one goroutine; ranging over it again reads again. What Append has returned is
// seen by every read that begins afterwards. Append waits for the commit; reads
// hold no lock that an append waits for. When the context of an append ends the
// append may have happened: if it is not known, the error is an
// [*UnknownOutcomeError].
package eventstore
