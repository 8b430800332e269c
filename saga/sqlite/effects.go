package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
)

const (
	keepEffect = `INSERT INTO rondo_saga_effects (saga, effect, at, undone, outcome) VALUES (?, ?, ?, 0, ?)`
	findEffect = `SELECT undone, outcome FROM rondo_saga_effects WHERE saga = ? AND effect = ?`
	// buryEffect leaves a tombstone.
	buryEffect = `INSERT INTO rondo_saga_effects (saga, effect, at, undone) VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET undone = 1`

	beginEffect = `SAVEPOINT rondo_saga_effect`
	undoEffect  = `ROLLBACK TO rondo_saga_effect`
	endEffect   = `RELEASE rondo_saga_effect`
)

// ErrUndone is the rejection of an effect that comes after its undo.
var ErrUndone = errors.New("effect is undone")

// Transactor runs functions in transactions of an SQLite file that was opened as a
// home once: a [Store], or an event store of package eventstore/sqlite on the same
// file, whose subscriptions then hear at once of what is appended.
type Transactor interface {
	InTx(ctx context.Context, f func(tx *sql.Tx) error) error
}

// HandleTx declares f as the handler of requests of type Q, for effects that are
// statements on tables in the file of the sagas: they happen exactly once. One
// transaction looks whether there is an outcome for [saga.EffectID], runs f if
// there is none, keeps what it returned and commits all of it, together with
// decisions that wait at the same time. A repetition is answered with what was
// kept, without f.
//
// The result is kept as JSON. After an error what f did is rolled back, and another
// attempt calls it again; so it is with a panic. But an error that is
// [saga.Rejected] is kept, under the name that it is registered with
// ([saga.Types].Errors), and a repetition gets it again. (That of an undo is not
// kept: an undo is tried until it is done.) With [saga.Later] what f did is
// committed, and a repetition is told Later again.
//
// An undo leaves a tombstone for what it undoes: whatever comes later under that
// key is rejected with [ErrUndone]. f is called for the undo even if nothing was
// done, or had been done by other means; [Done] tells whether it was done here.
//
// f is bound by what is said of [Store.InTx]. What is kept is forgotten when the
// saga is purged by a [Store] on the same file.
func HandleTx[Q effect.Request[R], R any](db Transactor, f func(ctx context.Context, tx *sql.Tx, q Q) (R, error), opts ...effect.HandlerOption) effect.Handler {
	if f == nil || db == nil {
		var none func(context.Context, Q) (R, error)
		return effect.Handle(none, opts...) // which is refused where it is used
	}
	h := effect.Handle(func(ctx context.Context, q Q) (value R, err error) {
		k, err := keyOf(ctx)
		if err != nil {
			return value, err
		}
		var known *outcome
		err = inTx(ctx, db, func(tx *sql.Tx) (err error) {
			known, err = k.once(ctx, tx, func() (*outcome, error) {
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
			return err
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
// was done by a handler that [HandleTx] has made, on this file. In anything but an
// undo it is false.
func Done(ctx context.Context, tx *sql.Tx) (bool, error) {
	k, err := keyOf(ctx)
	if err != nil || !k.undo {
		return false, err
	}
	_, known, err := k.find(ctx, tx, k.undoes())
	return known != nil && known.Rejected == nil, err
}

// outcome is what an effect has come to, as it is kept.
type outcome struct {
	Value    json.RawMessage   `json:"value,omitempty"`
	Rejected *saga.EffectError `json:"rejected,omitempty"`
	Later    bool              `json:"later,omitempty"`
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
		return key{}, effect.Permanent(&eventstore.InputError{Field: "saga.EffectID(ctx)", Value: strconv.Quote(id), Want: "that of an effect of a saga"})
	}
	return key{saga: id[:slash], effect: id[slash+1:], undo: undo}, nil
}

// once does an effect, or finds what it has come to.
func (k key) once(ctx context.Context, tx *sql.Tx, f func() (*outcome, error)) (*outcome, error) {
	undone, known, err := k.find(ctx, tx, k.effect)
	switch {
	case err != nil:
		return nil, err
	case undone:
		return nil, saga.Rejected(fmt.Errorf("effect %q: %w", k, ErrUndone))
	case known != nil:
		return known, nil
	}
	now := time.Now().UnixMicro()
	if k.undo {
		if _, err := tx.ExecContext(ctx, buryEffect, k.saga, k.undoes(), now); err != nil {
			return nil, k.problem("bury what is undone by", err)
		}
	}
	if known, err = k.attempt(ctx, tx, f); err != nil {
		return nil, err
	}
	text, err := json.Marshal(known)
	if err != nil {
		return nil, k.problem("encode the outcome of", err)
	}
	_, err = tx.ExecContext(ctx, keepEffect, k.saga, k.effect, now, string(text))
	return known, k.problem("keep the outcome of", err)
}

// attempt runs f. What it did is undone if that is rejected.
func (k key) attempt(ctx context.Context, tx *sql.Tx, f func() (*outcome, error)) (*outcome, error) {
	if _, err := tx.ExecContext(ctx, beginEffect); err != nil {
		return nil, k.problem("begin", err)
	}
	known, err := f()
	switch {
	case err == nil:
	case errors.Is(err, saga.Later):
		known = &outcome{Later: true}
	case saga.IsRejected(err) && !k.undo:
		known = &outcome{Rejected: saga.Failure(ctx, err)}
		if _, err := tx.ExecContext(ctx, undoEffect); err != nil {
			return nil, k.problem("roll back", err)
		}
	default:
		return nil, err
	}
	_, err = tx.ExecContext(ctx, endEffect)
	return known, k.problem("end", err)
}

// find returns what an effect has come to, nil if that is nothing yet, and whether
// it was undone.
func (k key) find(ctx context.Context, tx *sql.Tx, effect string) (undone bool, known *outcome, err error) {
	var text sql.NullString
	switch err := tx.QueryRowContext(ctx, findEffect, k.saga, effect).Scan(&undone, &text); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil, nil
	case err != nil:
		return false, nil, k.problem("look for", err)
	case text.Valid:
		err = json.Unmarshal([]byte(text.String), &known)
		return undone, known, k.problem("decode the outcome of", err)
	}
	return undone, nil, nil
}

func (k key) problem(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s effect %q: %w", doing, k, err)
}
