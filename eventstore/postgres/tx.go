package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/pghome"
)

// InTx runs a function in a transaction and commits it: whatever other tables the
// database has, in one commit with the events that the function appends by
// [Store.AppendTx]. It is the way to have subscriptions told at once.
//
// An error of the function rolls back what it did, and is returned as it is; so
// does a panic, which goes on. If it is not known whether the transaction was
// committed the error is an *[eventstore.UnknownOutcomeError] with the ids of what
// was appended. The function must not end the transaction, nor use it when it has
// returned.
func (s *Store) InTx(ctx context.Context, f func(tx pgx.Tx) error) error {
	const doing = "run a transaction"
	if err := s.open(ctx); err != nil {
		return err
	}
	begun, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return s.ended(ctx, explain(doing, err))
	}
	tx := &ownTx{Tx: begun}
	// After the commit it does nothing. The function's context may have ended.
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // a connection that cannot roll back is closed, which does
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		err = classify(err, true)
		if errors.As(err, new(*unknownError)) {
			return &eventstore.UnknownOutcomeError{IDs: tx.ids, Err: err}
		}
		return explain(doing, err)
	}
	if len(tx.ids) > 0 {
		s.tail.appended()
	}
	return nil
}

// ownTx is a transaction of InTx. It remembers what was appended.
type ownTx struct {
	pgx.Tx

	ids []uuid.UUID
}

// AppendTx appends in a transaction of the caller's, so that his own writes
// commit with the events: they are there when the transaction commits, and only
// then. What is returned is what they will be. Errors are those of Append but
// *[eventstore.UnknownOutcomeError], which is for whoever commits. After an error
// the transaction can be used if it was a conflict, a duplicate or a claim; the
// writes that were refused have changed nothing in it.
//
// From AppendTx to the end of the transaction nobody is handed out an event with
// a greater position, for these come before it; [Store.Head] and [Store.ReadAll]
// wait. So append last, and commit soon. Two transactions that append to several
// streams in different orders can deadlock; PostgreSQL ends one, after a second.
//
// The tenant of the context is set in the transaction until its end. Isolation
// should be READ COMMITTED: above it a conflict can turn out to be a
// serialization failure, an *[Error] that is retryable with the transaction as a
// whole.
//
// Subscriptions in this process see the events some milliseconds after the
// commit, and then tell those in others. [Store.InTx] tells all at once.
func (s *Store) AppendTx(ctx context.Context, tx pgx.Tx, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	r, err := s.request(ctx, writes)
	if err != nil || len(writes) == 0 {
		return nil, err
	}
	for lost := 0; ; lost++ {
		v, err := appendShared(ctx, tx, r, lost > 0)
		if err == nil && v.err == nil {
			s.written(tx, r, v.appended)
			return v.appended, nil
		}
		var taken *takenError
		switch {
		case errors.As(v.err, &taken):
			claims, err := takenTx(ctx, tx, r, taken.key)
			if err != nil {
				return nil, explain("append", err)
			}
			if err := r.claimed(claims); err != nil {
				return nil, err
			}
		case err == nil:
			return nil, v.err
		case !isUniqueViolation(err):
			return nil, explain("append", err)
		case lost == maxRacesTx:
			return nil, s.lostTx(ctx, r, err)
		}
	}
}

// maxRacesTx is how often an append in a user's transaction is tried again.
const maxRacesTx = 5

// written notes what was appended in a transaction.
func (s *Store) written(tx pgx.Tx, r *request, appended []eventstore.Appended) {
	if own, ok := tx.(*ownTx); ok {
		own.ids = append(own.ids, eventstore.IDs(r.writes)...)
		return
	}
	for _, a := range appended {
		s.tail.expect(a.Position)
	}
}

// appendShared appends in a user's transaction, after a savepoint, which is
// released, or rolled back to after an error.
func appendShared(ctx context.Context, tx pgx.Tx, r *request, careful bool) (verdict, error) {
	decide := newAnyWrites(&share{tenant: r.tenant, requests: []*request{r}, indexes: []int{0}}, careful, true)
	args, err := decide.args()
	if err != nil {
		return verdict{}, err
	}
	verdicts := make([]verdict, 1)
	var pipeline pgx.Batch
	pipeline.Queue(`SAVEPOINT rondo_append`)
	pipeline.Queue(anyWritesSQL, args...).Query(func(rows pgx.Rows) error { return decide.read(rows, verdicts) })
	pipeline.Queue(`RELEASE SAVEPOINT rondo_append`)
	if err := tx.SendBatch(ctx, &pipeline).Close(); err != nil {
		if isUniqueViolation(err) {
			_, rollbackErr := tx.Exec(ctx, `ROLLBACK TO SAVEPOINT rondo_append; RELEASE SAVEPOINT rondo_append`)
			if rollbackErr != nil {
				return verdict{}, rollbackErr
			}
		}
		return verdict{}, err
	}
	return verdicts[0], nil
}

func isUniqueViolation(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == pghome.UniqueViolation
}

// lostTx is the error of an append that loses to what its transaction cannot see,
// for its snapshot is older. What is there can be seen from outside.
func (s *Store) lostTx(ctx context.Context, r *request, err error) error {
	for i := range r.writes {
		w := &r.writes[i]
		if len(w.Events) == 0 {
			continue
		}
		var actual int64
		lookErr := s.as(ctx, "append", r.tenant, func(b *pgx.Batch) {
			b.Queue(`SELECT coalesce(max(version), 0) FROM rondo.events WHERE tenant = $1 AND stream = $2`, r.tenant, w.Stream).
				QueryRow(func(row pgx.Row) error { return row.Scan(&actual) })
		})
		if lookErr != nil {
			return lookErr
		}
		if !w.Expected.Allows(eventstore.Version(actual)) {
			return &eventstore.ConflictError{Stream: w.Stream, Expected: w.Expected, Actual: eventstore.Version(actual)}
		}
	}
	return &Error{Doing: "append", Reason: "the transaction does not see what it collides with", Code: pghome.UniqueViolation, Err: err, retryable: true}
}

// SaveCheckpointTx is SaveCheckpoint in a transaction of the caller's: what a
// subscription has done to his tables commits with how far it has come, or not at
// all if the lease was taken by another. Until the end of the transaction nobody
// else can take the lease.
func (s *Store) SaveCheckpointTx(
	ctx context.Context, tx pgx.Tx, lease eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration,
) (eventstore.Lease, error) {
	return s.saveCheckpoint(ctx, lease, checkpoint, ttl, func(tenant string, queue func(*pgx.Batch)) error {
		var pipeline pgx.Batch
		pipeline.Queue(setTenantSQL, tenant)
		queue(&pipeline)
		if err := tx.SendBatch(ctx, &pipeline).Close(); err != nil {
			return explain("save checkpoint", err)
		}
		return nil
	})
}
