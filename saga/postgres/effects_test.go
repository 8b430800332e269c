package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
)

// seats is an application's table, in the database of the sagas.
type seats struct {
	t    *testing.T
	db   *postgrestest.Database
	home *postgres.Store
	pool *pgxpool.Pool
}

func newSeats(t *testing.T) *seats {
	t.Helper()
	db := postgrestest.New(t)
	s := &seats{t: t, db: db, home: open(t, db.URL), pool: db.Pool(t)}
	_, err := s.pool.Exec(t.Context(), `CREATE TABLE moves (n serial, what text NOT NULL, effect text NOT NULL)`)
	require.NoError(t, err)
	return s
}

// move writes a row, in an effect's transaction.
func move(ctx context.Context, tx pgx.Tx, what string) error {
	_, err := tx.Exec(ctx, `INSERT INTO moves (what, effect) VALUES ($1, $2)`, what, saga.EffectID(ctx))
	return err
}

// moves are the rows there are, in order.
func (s *seats) moves() []string {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `SELECT what FROM moves ORDER BY n`)
	require.NoError(s.t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(s.t, err)
	return all
}

// effects makes handlers of transactions: hold and release are given, the others do
// nothing.
func (s *seats) effects(
	hold func(context.Context, pgx.Tx, HoldSeats) ([]string, error), release func(context.Context, pgx.Tx, ReleaseSeats) (struct{}, error),
	charge func(context.Context, pgx.Tx, Charge) (struct{}, error),
) []effect.Handler {
	if hold == nil {
		hold = func(ctx context.Context, tx pgx.Tx, q HoldSeats) ([]string, error) {
			return []string{"A1", "A2"}, move(ctx, tx, fmt.Sprint("hold ", q.Quantity))
		}
	}
	if release == nil {
		release = func(ctx context.Context, tx pgx.Tx, _ ReleaseSeats) (struct{}, error) {
			return struct{}{}, move(ctx, tx, "release")
		}
	}
	if charge == nil {
		charge = func(ctx context.Context, tx pgx.Tx, _ Charge) (struct{}, error) {
			return struct{}{}, move(ctx, tx, "charge")
		}
	}
	return []effect.Handler{
		postgres.HandleTx(s.pool, hold), postgres.HandleTx(s.pool, release), postgres.HandleTx(s.pool, charge),
		postgres.HandleTx(s.pool, func(ctx context.Context, tx pgx.Tx, _ Refund) (struct{}, error) {
			return struct{}{}, move(ctx, tx, "refund")
		}),
		postgres.HandleTx(s.pool, func(ctx context.Context, tx pgx.Tx, _ ConfirmSeats) (struct{}, error) {
			return struct{}{}, move(ctx, tx, "confirm")
		}),
	}
}

// reserve runs one saga to its end.
func (s *seats) reserve(key string, handlers []effect.Handler) (saga.Snapshot, Order) {
	s.t.Helper()
	runner, kill := run(s.t, s.home, saga.Config{Handlers: handlers})
	defer kill()
	h, err := runner.Start(s.t.Context(), Reservation.ID(key), Reserve{Customer: key, Quantity: 2})
	require.NoError(s.t, err)
	end, err := h.Wait(s.t.Context())
	require.NoError(s.t, err)
	order, err := Reservation.State(end)
	require.NoError(s.t, err)
	return end, order
}

// twice is middleware that does each request a second time when it is done, as
// whoever takes over from a process that died before it could say so.
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

func TestEffectsThatCommitAreDoneOnce(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	end, order := s.reserve("ann", s.effects(nil, nil, nil))
	require.Equal(t, saga.Completed, end.Status)
	require.Equal(t, []string{"A1", "A2"}, order.Seats)
	require.Equal(t, []string{"hold 2", "charge", "confirm"}, s.moves())
}

func TestRepeatedEffectIsAnsweredWithWhatWasKept(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	var calls atomic.Int32
	handlers := s.effects(nil, nil, func(ctx context.Context, tx pgx.Tx, _ Charge) (struct{}, error) {
		calls.Add(1)
		return struct{}{}, errors.Join(move(ctx, tx, "charge"), saga.Rejected(fmt.Errorf("no money: %w", errDeclined)))
	})
	handlers[0] = postgres.HandleTx(s.pool, func(ctx context.Context, tx pgx.Tx, _ HoldSeats) ([]string, error) {
		calls.Add(1)
		return []string{"B1"}, move(ctx, tx, "hold")
	}, effect.WithMiddleware(twice))
	handlers[2] = postgres.HandleTx(s.pool, func(ctx context.Context, tx pgx.Tx, _ Charge) (struct{}, error) {
		calls.Add(1)
		if err := move(ctx, tx, "charge"); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, saga.Rejected(fmt.Errorf("no money: %w", errDeclined))
	}, effect.WithMiddleware(twice))
	end, order := s.reserve("ann", handlers)
	require.Equal(t, saga.Compensated, end.Status)
	require.Equal(t, "declined", end.Reason, "the reducer knows the error of a repetition")
	require.Equal(t, []string{"B1"}, order.Seats)
	require.Equal(t, []string{"hold", "release"}, s.moves(), "what was rejected is rolled back, and a charge that was is not undone")
	require.EqualValues(t, 2, calls.Load())
}

// The process dies when its effect has committed, and before it could say so.
func TestCrashBetweenEffectAndDecision(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	reached := make(chan struct{})
	var once sync.Once
	dies := func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			value, err := next(ctx, request)
			once.Do(func() { close(reached) })
			<-ctx.Done()
			return value, errors.Join(err, ctx.Err())
		}
	}
	first := s.effects(nil, nil, nil)
	first[0] = postgres.HandleTx(s.pool, func(ctx context.Context, tx pgx.Tx, _ HoldSeats) ([]string, error) {
		return []string{"first"}, move(ctx, tx, "hold")
	}, effect.WithMiddleware(dies))
	runner, kill := run(t, s.home, saga.Config{Worker: "w", Handlers: first})
	id := Reservation.ID("ann")
	_, err := runner.Start(t.Context(), id, Reserve{Quantity: 2})
	require.NoError(t, err)
	<-reached
	kill()

	second := s.effects(func(context.Context, pgx.Tx, HoldSeats) ([]string, error) {
		return nil, errors.New("held a second time")
	}, nil, nil)
	runner, _ = run(t, s.home, saga.Config{Worker: "w", Handlers: second})
	end, err := runner.Wait(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, saga.Completed, end.Status)
	order, err := Reservation.State(end)
	require.NoError(t, err)
	require.Equal(t, []string{"first"}, order.Seats)
	require.Equal(t, []string{"hold", "charge", "confirm"}, s.moves())
}

// An attempt that fails, panics or ends its transaction leaves nothing behind.
func TestFailedAttemptLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(ctx context.Context, tx pgx.Tx) error{
		"error":  func(context.Context, pgx.Tx) error { return errors.New("down") },
		"commit": func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) },
		"ends its transaction and says nothing": func(ctx context.Context, tx pgx.Tx) error {
			_ = tx.Rollback(ctx)
			_, err := tx.Exec(ctx, `ROLLBACK`)
			return err
		},
		"breaks its transaction and says nothing": func(ctx context.Context, tx pgx.Tx) error {
			_, _ = tx.Exec(ctx, `SELECT 1/0`)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSeats(t)
			var attempts atomic.Int32
			end, _ := s.reserve("ann", s.effects(func(ctx context.Context, tx pgx.Tx, _ HoldSeats) ([]string, error) {
				if err := move(ctx, tx, "hold"); err != nil {
					return nil, err
				}
				if attempts.Add(1) < 3 {
					if err := fail(ctx, tx); err != nil {
						return nil, err
					}
				}
				return []string{"A1"}, nil
			}, nil, nil))
			require.Equal(t, saga.Completed, end.Status, end.Reason)
			require.Equal(t, []string{"hold", "charge", "confirm"}, s.moves())
			require.EqualValues(t, 3, attempts.Load())
		})
	}
}

func TestPanicLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	end, _ := s.reserve("ann", s.effects(func(ctx context.Context, tx pgx.Tx, _ HoldSeats) ([]string, error) {
		if err := move(ctx, tx, "hold"); err != nil {
			return nil, err
		}
		panic("oh")
	}, nil, nil))
	require.Equal(t, saga.Compensated, end.Status)
	require.Contains(t, end.Reason, "oh")
	require.Equal(t, []string{"release"}, s.moves())
}

// at gives a context of an effect to a function, on a handler that is called from
// outside of a runner: as if it were that very effect, of whichever process.
func (s *seats) at(key string, release func(context.Context, pgx.Tx) (struct{}, error)) (do, undo func() error) {
	s.t.Helper()
	ready := make(chan func() error, 2)
	capture := func(answer error) effect.Middleware {
		return func(next effect.Invoker) effect.Invoker {
			return func(ctx context.Context, request any) (any, error) {
				if strings.HasPrefix(saga.EffectID(ctx), Reservation.ID(key).String()+"/") { // not one that was left behind
					ctx = context.WithoutCancel(ctx)
					ready <- func() error {
						_, err := next(ctx, request)
						return err
					}
				}
				return nil, answer
			}
		}
	}
	handlers := s.effects(nil, nil, nil)
	handlers[0] = postgres.HandleTx(s.pool, func(ctx context.Context, tx pgx.Tx, _ HoldSeats) ([]string, error) {
		return []string{"A1"}, move(ctx, tx, "hold")
	}, effect.WithMiddleware(capture(effect.Permanent(errors.New("it is not known what was done")))))
	handlers[1] = postgres.HandleTx(s.pool, func(ctx context.Context, tx pgx.Tx, _ ReleaseSeats) (struct{}, error) {
		return release(ctx, tx)
	}, effect.WithMiddleware(capture(saga.Later)))
	runner, kill := run(s.t, s.home, saga.Config{Handlers: handlers})
	defer kill()
	_, err := runner.Start(s.t.Context(), Reservation.ID(key), Reserve{Quantity: 2})
	require.NoError(s.t, err)
	return <-ready, <-ready
}

func releaseIf(ctx context.Context, tx pgx.Tx) (struct{}, error) {
	done, err := postgres.Done(ctx, tx)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, move(ctx, tx, fmt.Sprint("release, done: ", done))
}

func TestUndoBeforeDo(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	do, undo := s.at("a/b", releaseIf)
	require.NoError(t, undo())
	for range 2 {
		err := do()
		require.ErrorIs(t, err, postgres.ErrUndone)
		require.True(t, saga.IsRejected(err))
	}
	require.NoError(t, undo(), "again")
	require.Equal(t, []string{"release, done: false"}, s.moves())
}

func TestUndoAfterDo(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	do, undo := s.at("a/b", releaseIf)
	require.NoError(t, do())
	require.NoError(t, do())
	require.NoError(t, undo())
	require.NoError(t, undo())
	require.ErrorIs(t, do(), postgres.ErrUndone, "a repetition that comes late")
	require.Equal(t, []string{"hold", "release, done: true"}, s.moves())
}

// An undo that is rejected is an undo that is still to be done.
func TestUndoIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	mended := false
	do, undo := s.at("a", func(ctx context.Context, tx pgx.Tx) (struct{}, error) {
		if !mended {
			return struct{}{}, saga.Rejected(errors.New("the seats are in use"))
		}
		return releaseIf(ctx, tx)
	})
	require.NoError(t, do())
	require.ErrorContains(t, undo(), "in use")
	mended = true
	require.NoError(t, undo())
	require.Equal(t, []string{"hold", "release, done: true"}, s.moves())
}

// Many come with one effect at once, and with its undo: one of the first acts, or
// none, and never after the undo.
func TestDuplicatesAtOnce(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	for round := range 10 {
		do, undo := s.at(fmt.Sprint(round), releaseIf)
		var group sync.WaitGroup
		for i := range 9 {
			group.Go(func() {
				if i == round%9 {
					if err := undo(); err != nil {
						t.Errorf("undo: %v", err)
					}
					return
				}
				if err := do(); err != nil && !errors.Is(err, postgres.ErrUndone) {
					t.Errorf("do: %v", err)
				}
			})
		}
		group.Wait()
		switch moves := s.moves(); len(moves) {
		case 1:
			require.Equal(t, []string{"release, done: false"}, moves)
		default:
			require.Equal(t, []string{"hold", "release, done: true"}, moves)
		}
		_, err := s.pool.Exec(t.Context(), `TRUNCATE moves`)
		require.NoError(t, err)
	}
}

// A transaction that has the effect in hand is waited for, and answered with.
func TestDuplicateWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	var begun, release = make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	var kept pgx.Tx
	tries := make(chan error, 1)
	handlers := s.effects(nil, nil, nil)
	handlers[0] = postgres.HandleTx(s.pool, func(ctx context.Context, tx pgx.Tx, _ HoldSeats) ([]string, error) {
		if calls.Add(1) == 1 {
			close(begun)
			<-release
		}
		kept = tx
		return []string{"A1"}, move(ctx, tx, "hold")
	}, effect.WithMiddleware(func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			go func() {
				<-begun
				_, err := next(ctx, request)
				tries <- err
			}()
			go func() {
				<-begun
				waits := func() (n int, err error) {
					err = s.pool.QueryRow(s.t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'`, s.db.Name).Scan(&n)
					return n, err
				}
				for n, err := waits(); n == 0 && err == nil; n, err = waits() {
				}
				close(release)
			}()
			value, err := next(ctx, request)
			return value, errors.Join(err, <-tries)
		}
	}))
	end, order := s.reserve("ann", handlers)
	require.Equal(t, saga.Completed, end.Status)
	require.Equal(t, []string{"A1"}, order.Seats)
	require.EqualValues(t, 1, calls.Load())
	require.Equal(t, []string{"hold", "charge", "confirm"}, s.moves())
	_, err := kept.Exec(t.Context(), `SELECT 1`)
	require.ErrorIs(t, err, pgx.ErrTxClosed, "it is over when the function has returned")
}

func TestLaterCommitsWhatWasDone(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	handlers := s.effects(nil, nil, nil)
	handlers[0] = postgres.HandleTx(s.pool, func(ctx context.Context, tx pgx.Tx, _ HoldSeats) ([]string, error) {
		if err := move(ctx, tx, "ask"); err != nil {
			return nil, err
		}
		return nil, saga.Later
	}, effect.WithMiddleware(twice))
	runner, _ := run(t, s.home, saga.Config{Handlers: handlers})
	h, err := runner.Start(t.Context(), Reservation.ID("ann"), Reserve{Quantity: 2})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(s.moves()) == 1 }, waitAtMost, pollEvery)
	require.Eventually(t, func() bool {
		_, err := runner.Resolve(t.Context(), h.ID, "reservation/ann/1/0", []string{"C3"}, nil, saga.By{Actor: "venue", Reason: "has answered"})
		return err == nil
	}, waitAtMost, pollEvery)
	end, err := h.Wait(t.Context())
	require.NoError(t, err)
	order, err := Reservation.State(end)
	require.NoError(t, err)
	require.Equal(t, []string{"C3"}, order.Seats)
	require.Equal(t, []string{"ask", "charge", "confirm"}, s.moves())
}

// A saga that was purged is forgotten with its effects, and begins anew.
func TestPurgeForgetsEffects(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	s.reserve("ann", s.effects(nil, nil, nil))
	s.reserve("ann 2", s.effects(nil, nil, nil))
	kept := func() (n int) {
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM rondo.saga_effects`).Scan(&n))
		return n
	}
	require.Equal(t, 6, kept())
	n, err := s.home.Purge(t.Context(), time.Now().Add(time.Hour), 1)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, 3, kept())
	end, _ := s.reserve("ann", s.effects(nil, nil, nil))
	require.Equal(t, saga.Completed, end.Status)
	require.Len(t, s.moves(), 9, "ann was first to end, and was begun anew")
}

func TestHandleTxOutsideOfASaga(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	_, err := saga.New(s.home, saga.Config{Handlers: []effect.Handler{postgres.HandleTx[HoldSeats, []string](s.pool, nil)}}, Reservation)
	require.ErrorContains(t, err, "nil function")
	_, err = postgres.Done(t.Context(), nil)
	require.ErrorContains(t, err, "effect of a saga")
}
