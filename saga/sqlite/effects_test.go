package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	events "github.com/seed57833328/rondo/eventstore/sqlite"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sqlite"
)

// moves is an application's table, in the file of the sagas: a row for everything
// that was done.
type moves struct {
	t    *testing.T
	home *sqlite.Store
}

func newMoves(t *testing.T) *moves {
	t.Helper()
	m := &moves{t, open(t, file(t), sqlite.Config{})}
	require.NoError(t, m.home.InTx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `CREATE TABLE moves (n INTEGER PRIMARY KEY, what TEXT NOT NULL)`)
		return err
	}))
	return m
}

// move writes a row, in an effect's transaction.
func move(ctx context.Context, tx *sql.Tx, what string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO moves (what) VALUES (?)`, what)
	return err
}

// all are the rows there are, in order.
func (m *moves) all() (all []string) {
	m.t.Helper()
	require.NoError(m.t, m.home.InTx(m.t.Context(), func(tx *sql.Tx) error {
		all = nil
		rows, err := tx.QueryContext(m.t.Context(), `SELECT what FROM moves ORDER BY n`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // it has been read
		for rows.Next() {
			var what string
			if err := rows.Scan(&what); err != nil {
				return err
			}
			all = append(all, what)
		}
		return rows.Err()
	}))
	return all
}

type txFunc[Q, R any] func(context.Context, *sql.Tx, Q) (R, error)

// handlers do everything in transactions; what is nil moves.
func (m *moves) handlers(
	hold txFunc[HoldSeats, []string], release txFunc[ReleaseSeats, struct{}], charge txFunc[Charge, struct{}], opts ...effect.HandlerOption,
) []effect.Handler {
	if hold == nil {
		hold = func(ctx context.Context, tx *sql.Tx, q HoldSeats) ([]string, error) {
			return []string{"A1", "A2"}, move(ctx, tx, fmt.Sprint("hold ", q.Quantity))
		}
	}
	if release == nil {
		release = func(ctx context.Context, tx *sql.Tx, _ ReleaseSeats) (struct{}, error) {
			return struct{}{}, move(ctx, tx, "release")
		}
	}
	if charge == nil {
		charge = func(ctx context.Context, tx *sql.Tx, _ Charge) (struct{}, error) {
			return struct{}{}, move(ctx, tx, "charge")
		}
	}
	return []effect.Handler{
		sqlite.HandleTx(m.home, hold, opts...), sqlite.HandleTx(m.home, release, opts...), sqlite.HandleTx(m.home, charge, opts...),
		sqlite.HandleTx(m.home, func(ctx context.Context, tx *sql.Tx, _ Refund) (struct{}, error) {
			return struct{}{}, move(ctx, tx, "refund")
		}, opts...),
		sqlite.HandleTx(m.home, func(ctx context.Context, tx *sql.Tx, _ ConfirmSeats) (struct{}, error) {
			return struct{}{}, move(ctx, tx, "confirm")
		}, opts...),
	}
}

// reserve runs one saga to its end.
func (m *moves) reserve(key string, handlers []effect.Handler) (saga.Snapshot, Order) {
	m.t.Helper()
	runner, kill := run(m.t, m.home, saga.Config{Handlers: handlers})
	defer kill()
	h, err := runner.Start(m.t.Context(), Reservation.ID(key), Reserve{Customer: key, Quantity: 2})
	require.NoError(m.t, err)
	end, err := h.Wait(m.t.Context())
	require.NoError(m.t, err)
	order, err := Reservation.State(end)
	require.NoError(m.t, err)
	return end, order
}

// twice does each request a second time when it is done, as whoever takes over from
// a process that died before it could say so.
func twice(next effect.Invoker) effect.Invoker {
	return func(ctx context.Context, request any) (any, error) {
		first, err := next(ctx, request)
		again, errAgain := next(ctx, request)
		if fmt.Sprint(first, err) != fmt.Sprint(again, errAgain) {
			return nil, effect.Permanent(fmt.Errorf("first %v, %w, then %v, %w", first, err, again, errAgain))
		}
		return again, errAgain
	}
}

func TestRepeatedEffectIsAnsweredWithWhatWasKept(t *testing.T) {
	t.Parallel()
	t.Run("result", func(t *testing.T) {
		t.Parallel()
		m := newMoves(t)
		end, order := m.reserve("ann", m.handlers(nil, nil, nil, effect.WithMiddleware(twice)))
		require.Equal(t, saga.Completed, end.Status, end.Reason)
		require.Equal(t, []string{"A1", "A2"}, order.Seats)
		require.Equal(t, []string{"hold 2", "charge", "confirm"}, m.all())
	})
	t.Run("rejection", func(t *testing.T) {
		t.Parallel()
		m := newMoves(t)
		var calls atomic.Int32
		end, _ := m.reserve("ann", m.handlers(nil, nil, func(ctx context.Context, tx *sql.Tx, _ Charge) (struct{}, error) {
			calls.Add(1)
			return struct{}{}, errors.Join(move(ctx, tx, "charge"), saga.Rejected(fmt.Errorf("no money: %w", errDeclined)))
		}, effect.WithMiddleware(twice)))
		require.Equal(t, saga.Compensated, end.Status)
		require.Equal(t, "declined", end.Reason, "the error is found by its name")
		require.EqualValues(t, 1, calls.Load())
		require.Equal(t, []string{"hold 2", "release"}, m.all(), "what was rejected is rolled back")
	})
}

func TestFailedEffectLeavesNothing(t *testing.T) {
	t.Parallel()
	m := newMoves(t)
	var calls atomic.Int32
	end, _ := m.reserve("ann", m.handlers(nil, nil, func(ctx context.Context, tx *sql.Tx, _ Charge) (struct{}, error) {
		if err := move(ctx, tx, "charge"); err != nil {
			return struct{}{}, err
		}
		switch calls.Add(1) {
		case 1:
			return struct{}{}, errors.New("no answer")
		case 2:
			_, err := tx.ExecContext(ctx, `COMMIT`) // which is refused
			return struct{}{}, err
		}
		return struct{}{}, nil
	}))
	require.Equal(t, saga.Completed, end.Status, end.Reason)
	require.EqualValues(t, 3, calls.Load())
	require.Equal(t, []string{"hold 2", "charge", "confirm"}, m.all())
}

func TestPanickingEffectLeavesNothing(t *testing.T) {
	t.Parallel()
	m := newMoves(t)
	end, _ := m.reserve("ann", m.handlers(nil, nil, func(ctx context.Context, tx *sql.Tx, _ Charge) (struct{}, error) {
		if err := move(ctx, tx, "charge"); err != nil {
			return struct{}{}, err
		}
		panic("oh")
	}))
	require.Equal(t, saga.Compensated, end.Status)
	require.Contains(t, end.Reason, "oh")
	require.NotContains(t, m.all(), "charge")
}

// An undo that comes before what it undoes, as the process that was at that has
// come to a standstill.
func TestEffectAfterItsUndoIsRefused(t *testing.T) {
	t.Parallel()
	m := newMoves(t)
	var late atomic.Pointer[func() error]
	var done atomic.Bool
	stands := func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			if _, holds := request.(HoldSeats); holds {
				again := func() error {
					_, err := next(context.WithoutCancel(ctx), request)
					return err
				}
				late.Store(&again)
				return nil, effect.Permanent(errors.New("no answer"))
			}
			return next(ctx, request)
		}
	}
	end, _ := m.reserve("ann", m.handlers(nil, func(ctx context.Context, tx *sql.Tx, _ ReleaseSeats) (struct{}, error) {
		was, err := sqlite.Done(ctx, tx)
		done.Store(was)
		return struct{}{}, err
	}, nil, effect.WithMiddleware(stands)))
	require.Equal(t, saga.Compensated, end.Status)
	require.False(t, done.Load(), "nothing was held")
	for range 2 {
		err := (*late.Load())()
		require.ErrorIs(t, err, sqlite.ErrUndone)
		require.True(t, saga.IsRejected(err))
	}
	require.Empty(t, m.all())
}

func TestUndoIsToldWhetherItsEffectWasDone(t *testing.T) {
	t.Parallel()
	m := newMoves(t)
	var again func() error
	keeps := func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			if _, holds := request.(HoldSeats); holds {
				again = func() error {
					_, err := next(context.WithoutCancel(ctx), request)
					return err
				}
			}
			return next(ctx, request)
		}
	}
	var wrong atomic.Bool
	end, _ := m.reserve("ann", m.handlers(func(ctx context.Context, tx *sql.Tx, _ HoldSeats) ([]string, error) {
		was, err := sqlite.Done(ctx, tx)
		wrong.Store(was) // it is no undo
		return []string{"A1"}, errors.Join(err, move(ctx, tx, "hold"))
	}, func(ctx context.Context, tx *sql.Tx, _ ReleaseSeats) (struct{}, error) {
		was, err := sqlite.Done(ctx, tx)
		return struct{}{}, errors.Join(err, move(ctx, tx, fmt.Sprint("release ", was)))
	}, func(context.Context, *sql.Tx, Charge) (struct{}, error) {
		return struct{}{}, saga.Rejected(errDeclined)
	}, effect.WithMiddleware(keeps)))
	require.Equal(t, saga.Compensated, end.Status)
	require.False(t, wrong.Load())
	require.Equal(t, []string{"hold", "release true"}, m.all())
	require.ErrorIs(t, again(), sqlite.ErrUndone, "it was done, and is undone")
}

func TestEffectWhoseResultComesLater(t *testing.T) {
	t.Parallel()
	m := newMoves(t)
	runner, kill := run(t, m.home, saga.Config{Handlers: m.handlers(nil, nil, func(ctx context.Context, tx *sql.Tx, _ Charge) (struct{}, error) {
		return struct{}{}, errors.Join(move(ctx, tx, "asked "+saga.EffectID(ctx)), saga.Later)
	}, effect.WithMiddleware(twice))})
	defer kill()
	id := Reservation.ID("ann")
	h, err := runner.Start(t.Context(), id, Reserve{Quantity: 2})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(m.all()) == 2 }, waitAtMost, pollEvery)
	key, asked := strings.CutPrefix(m.all()[1], "asked ")
	require.True(t, asked)
	require.Eventually(t, func() bool {
		_, err = runner.Resolve(t.Context(), id, key, struct{}{}, nil, saga.By{Actor: "gateway", Reason: "paid"})
		return err == nil
	}, waitAtMost, pollEvery, "%v", &err)
	end, err := h.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, saga.Completed, end.Status, end.Reason)
	require.Equal(t, []string{"hold 2", "asked " + key, "confirm"}, m.all())
}

// A saga with the key of one that was purged has the same keys of effects.
func TestPurgeForgetsEffects(t *testing.T) {
	t.Parallel()
	m := newMoves(t)
	for range 2 {
		end, _ := m.reserve("ann/1", m.handlers(nil, nil, nil))
		require.Equal(t, saga.Completed, end.Status, end.Reason)
		n, err := m.home.Purge(t.Context(), time.Now().Add(time.Hour), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	require.Equal(t, []string{"hold 2", "charge", "confirm", "hold 2", "charge", "confirm"}, m.all())
}

func TestEffectOfNoSaga(t *testing.T) {
	t.Parallel()
	m := newMoves(t)
	loses := func(next effect.Invoker) effect.Invoker {
		return func(_ context.Context, request any) (any, error) { return next(t.Context(), request) } //nolint:contextcheck // that is the mistake
	}
	handlers := m.handlers(nil, nil, nil)
	handlers[0] = m.handlers(nil, nil, nil, effect.WithMiddleware(loses))[0]
	end, _ := m.reserve("ann", handlers)
	require.Equal(t, saga.Compensated, end.Status)
	require.Contains(t, end.Reason, `saga.EffectID(ctx)`)
	require.Equal(t, []string{"release"}, m.all(), "nobody knows that nothing was done")
}

// Many sagas at once, on an event store in the same file: seats are never sold
// twice, and each event is there once.
func TestEffectsOnAnEventStoreInTheSameFile(t *testing.T) {
	t.Parallel()
	home := open(t, file(t), sqlite.Config{})
	log, err := events.Open(t.Context(), home.Path(), events.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	heard := make(chan string, 100)
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	group.Go(func() {
		for e, err := range log.Subscribe(ctx, 0, eventstore.Filter{}) {
			if err == nil {
				heard <- e.Type
			}
		}
	})
	t.Cleanup(group.Wait)
	t.Cleanup(cancel)
	event := func(ctx context.Context, tx *sql.Tx, name string) error {
		_, err := log.AppendTx(ctx, tx, eventstore.Write{Stream: "seats-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: name, Data: []byte(`{}`)}}})
		return err
	}
	m := &moves{t, home}
	handlers := m.handlers(nil, nil, nil)
	handlers[0] = sqlite.HandleTx(log, func(ctx context.Context, tx *sql.Tx, _ HoldSeats) ([]string, error) {
		return []string{"A1"}, event(ctx, tx, "held")
	}, effect.WithMiddleware(twice))
	handlers[2] = sqlite.HandleTx(log, func(ctx context.Context, tx *sql.Tx, _ Charge) (struct{}, error) {
		return struct{}{}, event(ctx, tx, "charged")
	}, effect.WithMiddleware(twice))
	handlers[4] = sqlite.HandleTx(log, func(ctx context.Context, tx *sql.Tx, _ ConfirmSeats) (struct{}, error) {
		return struct{}{}, event(ctx, tx, "confirmed")
	}, effect.WithMiddleware(twice))
	runner, kill := run(t, home, saga.Config{Handlers: handlers})
	defer kill()
	const sagas = 10
	var clients sync.WaitGroup
	for i := range sagas {
		clients.Go(func() {
			h, err := runner.Start(t.Context(), Reservation.ID(fmt.Sprint(i)), Reserve{Quantity: 1})
			if err == nil {
				_, err = h.Wait(t.Context())
			}
			if err != nil {
				t.Errorf("saga %d: %v", i, err)
			}
		})
	}
	clients.Wait()
	times := map[string]int{}
	for range 3 * sagas {
		times[<-heard]++
	}
	require.Equal(t, map[string]int{"held": sagas, "charged": sagas, "confirmed": sagas}, times)
	head, err := log.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3*sagas, head)
}
