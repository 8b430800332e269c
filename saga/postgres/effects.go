package postgres

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
)

const (
	// Another transaction that has the same effect in hand is waited for.
	claimEffectSQL = `
INSERT INTO rondo.saga_effects (saga, effect, at, undone) VALUES ($1, $2, clock_timestamp(), false)
ON CONFLICT (saga, effect) DO NOTHING`
	findEffectSQL = `SELECT undone, outcome FROM rondo.saga_effects WHERE saga = $1 AND effect = $2`
	keepEffectSQL = `UPDATE rondo.saga_effects SET outcome = $3, at = clock_timestamp() WHERE saga = $1 AND effect = $2`
	// buryEffectSQL leaves a tombstone, and waits for the effect if that is in
	// hand.
	buryEffectSQL = `
INSERT INTO rondo.saga_effects AS e (saga, effect, at, undone) VALUES ($1, $2, clock_timestamp(), true)
ON CONFLICT (saga, effect) DO UPDATE SET undone = true WHERE NOT e.undone`
	rejectEffectSQL = `
INSERT INTO rondo.saga_effects (saga, effect, at, undone, outcome) VALUES ($1, $2, clock_timestamp(), false, $3)
ON CONFLICT (saga, effect) DO NOTHING`
)

var (
	// ErrUndone is the rejection of an effect that comes after its undo.
	ErrUndone = errors.New("effect is undone")
	// ErrNotYours is returned to a function of [HandleTx] that ends its
	// transaction.
	ErrNotYours = errors.New("the transaction is ended by HandleTx, by what the function returns")
)

// idle is the status of a connection that is in no transaction.
const idle = 'I'

// Beginner begins transactions, as a *pgxpool.Pool does.
type Beginner interface {
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// HandleTx declares f as the handler of requests of type Q, for effects that are
// statements on tables beside those of this package, which [Migrate] makes: they
// happen exactly once. One transaction claims [saga.EffectID], runs f, keeps what
// it returned and commits all of it. A repetition, at the same time or later, is
// answered with what was kept, without f.
//
// The result is kept as JSON. After an error what f did is rolled back, and another
// attempt calls it again; so it is with a panic. But an error that is
// [saga.Rejected] is kept, under the name that it is registered with
// ([saga.Types].Errors), and a repetition gets it again. (That of an undo is not
// kept: an undo is tried until it is done.) With [saga.Later] what f did is
// committed, and a repetition is told Later again.
//
// An undo leaves a tombstone for what it undoes: whatever comes later under that
// key is rejected with [ErrUndone]. It waits for an attempt that is still at it, as
// long as its context allows. f is called for the undo even if nothing was done, or
// had been done by other means; [Done] tells whether it was done here.
//
// The transaction is READ COMMITTED. f must not end it, which is ErrNotYours, nor
// use it when it has returned, which is pgx.ErrTxClosed. What is kept is forgotten
// when the saga is purged by a [Store] on the same database; where the sagas live
// elsewhere, rows of rondo.saga_effects may be deleted once their sagas are.
func HandleTx[Q effect.Request[R], R any](db Beginner, f func(ctx context.Context, tx pgx.Tx, q Q) (R, error), opts ...effect.HandlerOption) effect.Handler {
	if f == nil || db == nil {
		var none func(context.Context, Q) (R, error)
		return effect.Handle(none, opts...) // which is refused where it is used
	}
	h := effect.Handle(func(ctx context.Context, q Q) (value R, err error) {
		k, err := keyOf(ctx)
		if err != nil {
			return value, err
		}
		known, err := k.once(ctx, db, func(ctx context.Context, tx pgx.Tx) (*outcome, error) {
			value, err := f(ctx, tx, q)
			if err != nil {
				return nil, err
			}
			text, err := json.Marshal(value)
			if err != nil {
				return nil, effect.Permanent(fmt.Errorf("encode a %T: %w", value, err))
			}
			return &outcome{Value: text}, nil
		})
		switch {
		case err != nil:
			return value, err
		case known.Later:
			return value, saga.Later
		case known.Rejected != nil:
			return value, known.Rejected
		}
		if err := json.Unmarshal(known.Value, &value); err != nil {
			return value, effect.Permanent(fmt.Errorf("decode what effect %q has come to, as a %T: %w", k, value, err))
		}
		return value, nil
	}, opts...)
	effect.Inside(h).Home = db
	return h
}

// Done tells the function of an undo, in its transaction, whether what it undoes
// was done by a handler that [HandleTx] has made, in this database. In anything but
// an undo it is false.
func Done(ctx context.Context, tx pgx.Tx) (bool, error) {
	k, err := keyOf(ctx)
	if err != nil || !k.undo {
		return false, err
	}
	var undone bool
	var kept *outcome
	if err := tx.QueryRow(ctx, findEffectSQL, k.saga, k.undoes()).Scan(&undone, &kept); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, explain("look for what is undone", err)
	}
	return kept != nil && kept.Rejected == nil, nil
}

// outcome is what an effect has come to, as it is kept.
type outcome struct {
	Value    json.RawMessage   `json:"value,omitempty"`
	Rejected *saga.EffectError `json:"rejected,omitempty"`
	Later    bool              `json:"later,omitempty"`
}

// outcomeParameter is an outcome as text, for connections that do not ask the server
// of which types parameters are.
type outcomeParameter struct{ *outcome }

// Value makes it a driver.Valuer.
func (p outcomeParameter) Value() (driver.Value, error) {
	text, err := json.Marshal(p.outcome)
	return string(text), err
}

// key is a saga.EffectID in its parts.
type key struct {
	saga, effect string
	undo         bool
}

const undoSuffix = "/undo"

func (k key) String() string { return k.saga + "/" + k.effect }

// undoes is the effect that an undo is of.
func (k key) undoes() string { return strings.TrimSuffix(k.effect, undoSuffix) }

func keyOf(ctx context.Context) (key, error) {
	id := saga.EffectID(ctx)
	of, undo := strings.CutSuffix(id, undoSuffix)
	// The key of a saga may have slashes; sequence and index have none.
	slash := strings.LastIndexByte(of, '/')
	if slash > 0 {
		slash = strings.LastIndexByte(of[:slash], '/')
	}
	if slash <= 0 {
		return key{}, effect.Permanent(&eventstore.InputError{Field: "saga.EffectID(ctx)", Value: fmt.Sprintf("%q", id), Want: "that of an effect of a saga"})
	}
	return key{saga: id[:slash], effect: id[slash+1:], undo: undo}, nil
}

// once does an effect, or finds what it has come to.
func (k key) once(ctx context.Context, db Beginner, f func(context.Context, pgx.Tx) (*outcome, error)) (known *outcome, err error) {
	if j, ok := ctx.Value(joinedKey{}).(*joined); ok && j.store.Joins(db) {
		return k.within(ctx, j, f)
	}
	err = k.inTx(ctx, db, func(tx pgx.Tx) error {
		var claimed bool
		if claimed, known, err = k.claim(ctx, &joined{tx: tx}); err != nil || !claimed {
			return err
		}
		if known, err = k.attempt(ctx, tx, f); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, keepEffectSQL, k.saga, k.effect, outcomeParameter{known})
		return k.problem("keep the outcome of", err)
	})
	if err == nil || k.undo || !saga.IsRejected(err) || errors.Is(err, ErrUndone) {
		return known, err
	}
	// What was done is rolled back; this alone is kept, unless another attempt has
	// come to something meanwhile.
	rejected := &outcome{Rejected: saga.Failure(ctx, err)}
	err = k.inTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, rejectEffectSQL, k.saga, k.effect, outcomeParameter{rejected}); err != nil {
			return k.problem("keep the rejection of", err)
		}
		known, err = k.find(ctx, tx)
		return err
	})
	return known, err
}

// Where the function of an effect begins, in a transaction that does more.
const (
	beginEffectSQL    = `SAVEPOINT rondo_effect`
	endEffectSQL      = `RELEASE SAVEPOINT rondo_effect`
	rollBackEffectSQL = `ROLLBACK TO SAVEPOINT rondo_effect`
)

// within is once in a transaction that does more. What is rejected is rolled back to
// where it began.
func (k key) within(ctx context.Context, j *joined, f func(context.Context, pgx.Tx) (*outcome, error)) (*outcome, error) {
	claimed, known, err := k.claim(ctx, j, beginEffectSQL)
	if err != nil || !claimed {
		return known, err
	}
	known, err = k.attempt(ctx, j.tx, f)
	if err != nil && saga.IsRejected(err) && !k.undo {
		known = &outcome{Rejected: saga.Failure(ctx, err)}
		_, err = j.tx.Exec(ctx, rollBackEffectSQL)
		err = k.problem("roll back", err)
	}
	if err != nil {
		return nil, err
	}
	j.later = append(j.later, statement{sql: endEffectSQL}, statement{keepEffectSQL, []any{k.saga, k.effect, outcomeParameter{known}}})
	return known, nil
}

// attempt runs f.
func (k key) attempt(ctx context.Context, tx pgx.Tx, f func(context.Context, pgx.Tx) (*outcome, error)) (*outcome, error) {
	its := &handlerTx{Tx: tx}
	defer its.returned.Store(true)
	known, err := f(ctx, its)
	if errors.Is(err, saga.Later) {
		known, err = &outcome{Later: true}, nil
	}
	if err == nil && tx.Conn().PgConn().TxStatus() == idle {
		err = ErrNotYours // it was ended by a statement
	}
	return known, err
}

// claim makes an effect this transaction's, or finds what it has come to. What goes
// with it are statements to be made at the same time.
func (k key) claim(ctx context.Context, j *joined, with ...string) (claimed bool, known *outcome, err error) {
	b := &pgx.Batch{}
	b.Queue(claimEffectSQL, k.saga, k.effect).Exec(func(tag pgconn.CommandTag) error {
		claimed = tag.RowsAffected() == 1
		return nil
	})
	if k.undo {
		// If this undo was done before, what it undoes is buried.
		b.Queue(buryEffectSQL, k.saga, k.undoes())
	}
	for _, sql := range with {
		b.Queue(sql)
	}
	if err := j.send(ctx, b); err != nil {
		return false, nil, k.problem("claim", err)
	}
	if !claimed {
		known, err = k.find(ctx, j.tx)
	}
	return claimed, known, err
}

// find returns what an effect has come to.
func (k key) find(ctx context.Context, tx pgx.Tx) (*outcome, error) {
	var undone bool
	var known *outcome
	err := tx.QueryRow(ctx, findEffectSQL, k.saga, k.effect).Scan(&undone, &known)
	switch {
	case err != nil: // also where it was forgotten just now: then it is tried again
		return nil, k.problem("look for", err)
	case undone:
		return nil, saga.Rejected(fmt.Errorf("effect %q: %w", k, ErrUndone))
	case known == nil:
		return nil, effect.Permanent(fmt.Errorf("effect %q has no outcome in rondo.saga_effects: somebody else has written there", k))
	}
	return known, nil
}

// inTx runs f in a transaction and commits it, unless f fails.
func (k key) inTx(ctx context.Context, db Beginner, f func(pgx.Tx) error) error {
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return k.problem("begin", err)
	}
	// After the commit it does nothing. The context may have ended.
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // a connection that cannot roll back is closed, which does
	if err := f(tx); err != nil {
		return err
	}
	return k.problem("commit", tx.Commit(ctx))
}

// problem explains an error of the database. One that has no name is left to be
// tried again, as it may be of the function's statements.
func (k key) problem(doing string, err error) error {
	if err == nil {
		return nil
	}
	explained := explain(fmt.Sprintf("%s effect %q", doing, k), err)
	var e *Error
	if errors.As(explained, &e) && e.Reason == "" {
		return fmt.Errorf("%s: %w", e.Doing, e.Err)
	}
	return explained
}

// handlerTx is a transaction that is not the function's to end, nor to use when it
// has returned.
type handlerTx struct {
	pgx.Tx
	returned atomic.Bool
}

func (t *handlerTx) use() error {
	if t.returned.Load() {
		return pgx.ErrTxClosed
	}
	return nil
}

func (*handlerTx) Commit(context.Context) error { return ErrNotYours }

func (*handlerTx) Rollback(context.Context) error { return ErrNotYours }

func (t *handlerTx) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := t.use(); err != nil {
		return nil, err
	}
	return t.Tx.Begin(ctx)
}

func (t *handlerTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	if err := t.use(); err != nil {
		return 0, err
	}
	return t.Tx.CopyFrom(ctx, table, columns, rows)
}

func (t *handlerTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := t.use(); err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	return t.Tx.SendBatch(ctx, b)
}

func (t *handlerTx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if err := t.use(); err != nil {
		return nil, err
	}
	return t.Tx.Prepare(ctx, name, sql)
}

func (t *handlerTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := t.use(); err != nil {
		return pgconn.CommandTag{}, err
	}
	return t.Tx.Exec(ctx, sql, args...)
}

func (t *handlerTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := t.use(); err != nil {
		return nil, err
	}
	return t.Tx.Query(ctx, sql, args...)
}

func (t *handlerTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := t.use(); err != nil {
		return noRow{err}
	}
	return t.Tx.QueryRow(ctx, sql, args...)
}

type noRow struct{ err error }

func (r noRow) Scan(...any) error { return r.err }
