package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/seed57833328/rondo/saga"
)

// joined is the transaction of a CommitTx, in the context of its function.
type joined struct {
	store *Store
	tx    *sql.Tx
}

type joinedKey struct{}

// inTx runs f in the transaction of its context, if db has made that, or in one of
// its own.
func inTx(ctx context.Context, db Transactor, f func(tx *sql.Tx) error) error {
	if j, ok := ctx.Value(joinedKey{}).(joined); ok && j.store.Joins(db) {
		return f(j.tx)
	}
	return db.InTx(ctx, f)
}

// Joins tells whether db is this home; see [saga.Transactional].
func (s *Store) Joins(db any) bool { return db == any(s) }

// errNotMade rolls back changes whose conditions do not hold.
var errNotMade = errors.New("the changes are not made")

// CommitTx commits what a function does, and the changes that it returns; see
// [saga.Transactional]. The function is bound by what is said of [Store.InTx].
func (s *Store) CommitTx(ctx context.Context, f func(ctx context.Context) ([]saga.Change, error)) (verdict saga.Verdict, err error) {
	err = s.file.InTx(ctx, func(tx *sql.Tx) error {
		changes, err := f(context.WithValue(ctx, joinedKey{}, joined{s, tx}))
		if err != nil {
			return err
		}
		if err := saga.CheckChain(changes); err != nil {
			return err
		}
		last := len(changes) - 1
		d := following(changes[0].Record.Sequence-1, &changes[last])
		verdict, err = s.decide(s.file.Executor(tx), &d, changes[:last]...)
		if err == nil && verdict != saga.Committed {
			return errNotMade
		}
		return err
	})
	switch {
	case errors.Is(err, errNotMade):
		return verdict, nil
	case err != nil:
		return 0, err
	}
	return verdict, nil
}
