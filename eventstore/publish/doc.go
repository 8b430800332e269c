// Package publish hands the events of a store to something else: a message
// broker, a webhook, a mail server, another store. It is a subscription that
// knows how far it has come, so that nothing is written twice and nothing is
// lost: what has been appended will be published, because publishing is reading.
//
//	p, err := publish.New(db, db, "mailer", publish.Each(
//		func(ctx context.Context, e eventstore.Recorded) error {
//			return mail.Send(ctx, e.ID.String(), e.Data)
//		}),
//		publish.Config{Filter: eventstore.Filter{Types: []string{"sale.ticket-sold"}}})
//	if err != nil {
//		return err
//	}
//	return p.Run(ctx)
//
// Start it in every process. The home's lease has one of them run; when that one
// is shut down another goes on within about a heartbeat, when it dies after the
// lease's time.
//
// # What is promised
//
// Events come in the order of their positions, each at least once. Between two
// checkpoints a crash or the loss of the lease makes some of them come again, in
// the same order: those since the last checkpoint, which is saved when a handler
// has returned. An event never comes before one with a lower position was
// handled.
//
// At most one handler of a subscription runs whose context has not ended, as far
// as clocks run at the same speed. More than that no lease can promise: a
// process may stand still between looking at the clock and doing something. What
// a handler does so late cannot be undone here, but its checkpoint is refused by
// the lease's fencing token, and the one who took over has published, or will,
// the same events.
//
// # Exactly once
//
// A sink makes an event count once in one of three ways. It knows events by their
// id, as most receivers with an idempotency key do. Or it is in the database of
// the events, and saves the checkpoint in the transaction that its own writes are
// in; with package sqlite, for instance:
//
//	func(ctx context.Context, b publish.Batch) error {
//		return db.InTx(ctx, func(tx *sql.Tx) error {
//			for _, e := range b.Events {
//				… // tx.ExecContext
//			}
//			_, err := db.SaveCheckpointTx(ctx, tx, b.Lease, b.Position(), b.LeaseTTL)
//			return err
//		})
//	}
//
// Until such a transaction ends the lease cannot be renewed: keep it shorter than
// that. Or, in another database, the sink keeps the position of
// the last event and the token of the lease with its own writes:
//
//	func(ctx context.Context, b publish.Batch) error {
//		return inTransaction(ctx, func(tx Tx) error {
//			token, last := tx.LockSubscription(b.Lease.Subscription)
//			if b.Lease.Token < token {
//				return errors.New("somebody else runs the subscription")
//			}
//			for _, e := range b.Events {
//				if e.Position > last {
//					tx.Write(e)
//				}
//			}
//			return tx.SaveSubscription(b.Lease.Subscription, b.Lease.Token, b.Position())
//		})
//	}
//
// # Failure
//
// A handler that fails is given the same events again, after waits that grow and
// are spread at random, for as long as it takes; the lease is kept meanwhile. It
// is told to Hooks.Retrying, which logs if nobody else wants to know. A
// [*PartialError] says that the first of the events were handled; [Each] does
// that by itself. Nothing is skipped: what no attempt will change, the handler
// returns as [Permanent], or Config.Attempts counts, and Run ends with a
// [*StoppedError] that names the event. To go on without it is a decision of the
// handler's: it puts the event aside and returns nil.
//
// Failures of the store and of the checkpoints are tried again in the same way,
// unless they say that it makes no sense.
//
// # Checkpoints
//
// With a filter the checkpoint also moves over events that are not wanted: when
// all that was there has been read, and then with the heartbeats. So a restart
// does not read everything again, and the distance from the head tells how far
// behind a subscription is. To publish again from some position, or to begin
// with what comes from now on, use ResetCheckpoint of the home: whoever runs the
// subscription is fenced and begins there.
//
// # Concurrency
//
// A Publisher may be used by any goroutine. Run returns when ctx has ended and
// the handler has returned. While it runs it has three goroutines, for which it
// waits: its caller's owns the lease, saves and renews; one calls the handler;
// one reads ahead, at most as much as a batch. So a handler that takes long holds
// up neither the renewals nor, for long, an event that could be handled with the
// next batch; and batches grow by themselves when events come faster than they
// are handled.
//
// A handler's context ends when ctx ends, at once when a renewal is refused, and
// when the lease could not be renewed in its time, counted from before the last
// renewal was asked for; context.Cause tells which, and wraps
// eventstore.ErrFenced for the latter two. A handler that does not listen is
// waited for, and in a shutdown keeps the lease. What it has handled when ctx has
// ended is saved, if it returns nil or a *PartialError.
//
// All waits and clocks are those of package time, so publishers over a home in
// memory work in a testing/synctest bubble.
//
// # Sources
//
// Leases with a time limit are from Gray and Cheriton, "Leases: An Efficient
// Fault-Tolerant Mechanism for Distributed File Cache Consistency" (1989). The
// token that ascends with each holder and is checked where something is written
// is the sequencer of Burrows, "The Chubby lock service for loosely-coupled
// distributed systems" (2006); why a lease alone is not enough is told by
// Kleppmann, "How to do distributed locking" (2016). Publishing from the log in
// the place of a second write is known as the transactional outbox, and as log
// tailing. Waits between attempts are the retry policy of
// github.com/failsafe-go/failsafe-go.
package publish
