package gapsafe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
)

// manyEvents is from how many on a writer now and then appends some hundreds at
// once, to be done in minutes.
const manyEvents = 100_000

// The lines of a writer that are not positions: a transaction was rolled back on
// purpose, and one was open for long.
const (
	rolledBackLine = "rolled back"
	outlierLine    = "outlier"
)

// errRollback ends a transaction that is to be undone.
var errRollback = errors.New("rolled back on purpose")

// writer appends in all the ways there are, and writes the positions that were
// acknowledged, one to a line.
type writer struct {
	task
	pool  *pgxpool.Pool
	store *postgres.Store
	left  atomic.Int64
	slow  atomic.Bool // a transaction is open for long and then rolled back, or was
	over  atomic.Bool // the input has ended

	mu  sync.Mutex
	out *bufio.Writer
}

func write(ctx context.Context, job task, in io.Reader, out *bufio.Writer) error {
	cfg, err := pgxpool.ParseConfig(job.URL)
	if err != nil {
		return err
	}
	cfg.MaxConns = int32(job.Goroutines) + 8 //nolint:gosec // small
	cfg.ConnConfig.RuntimeParams["application_name"] = "gapsafe-writer"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := postgres.New(ctx, pool, postgres.Config{})
	for eventstore.Retryable(err) { // its session was killed meanwhile
		store, err = postgres.New(ctx, pool, postgres.Config{})
	}
	if err != nil {
		return err
	}
	w := &writer{task: job, pool: pool, store: store, out: out}
	w.left.Store(int64(job.Events))
	go func() {
		_, _ = io.Copy(io.Discard, in) // nothing is told but that it ends
		w.over.Store(true)
	}()
	failed := make(chan error, job.Goroutines)
	var all sync.WaitGroup
	for i := range job.Goroutines {
		all.Go(func() {
			r := rand.New(rand.NewPCG(job.Seed, uint64(i))) //nolint:gosec // a test's dice
			for w.left.Load() > 0 || !w.slow.Load() || !w.over.Load() {
				if err := w.step(ctx, r); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return errors.Join(<-failed, store.Close())
}

// step appends once. Its error is one that must not be.
func (w *writer) step(ctx context.Context, r *rand.Rand) error {
	writes := make([]eventstore.Write, 0, 2)
	first := r.IntN(20)
	for i := range 1 + r.IntN(2) {
		events := make([]eventstore.Event, 1+r.IntN(3))
		if w.Events > manyEvents && r.IntN(10) == 0 {
			events = make([]eventstore.Event, 200)
		}
		for j := range events {
			events[j] = eventstore.Event{Type: "tested", Data: []byte("x")}
		}
		writes = append(writes, eventstore.Write{
			Stream: fmt.Sprintf("s-%d", (first+i)%20), Expected: eventstore.Any, Events: events,
		})
	}
	var done []eventstore.Appended
	var err error
	if r.IntN(2) == 0 {
		done, err = w.store.Append(ctx, writes...)
	} else {
		done, err = w.transaction(ctx, r, writes)
	}
	var unknown *eventstore.UnknownOutcomeError
	switch {
	case err == nil:
	case errors.Is(err, errRollback), errors.As(err, &unknown), eventstore.Retryable(err):
		return nil
	case brokenConnection(err):
		return nil
	default:
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range done {
		w.left.Add(-int64(len(a.Events)))
		for _, e := range a.Events {
			if _, err := fmt.Fprintln(w.out, int64(e.Position)); err != nil {
				return err
			}
		}
	}
	return nil
}

// transaction appends in a transaction that begins early, ends late, and may be
// undone.
func (w *writer) transaction(ctx context.Context, r *rand.Rand, writes []eventstore.Write) (done []eventstore.Appended, err error) {
	early, undone := r.IntN(2) == 0, r.IntN(10) == 0
	before, after := w.pause(r), w.pause(r)
	// One is sure to be slow and undone, unless its session is killed: then another.
	if w.slow.CompareAndSwap(false, true) {
		undone, after = true, outlier
		defer func() {
			if !errors.Is(err, errRollback) {
				w.slow.Store(false)
			}
		}()
	}
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if early {
			if _, err := tx.Exec(ctx, `SELECT pg_current_xact_id()`); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `SELECT pg_sleep($1)`, before); err != nil {
			return err
		}
		if done, err = w.store.AppendTx(ctx, tx, writes...); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT pg_sleep($1)`, after); err != nil {
			return err
		}
		if after == outlier {
			if err := w.tell(outlierLine); err != nil {
				return err
			}
		}
		if undone {
			return errRollback
		}
		return nil
	})
	if errors.Is(err, errRollback) {
		err = errors.Join(err, w.tell(rolledBackLine))
	}
	return done, err
}

func (w *writer) tell(line string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := fmt.Fprintln(w.out, line)
	return err
}

// outlier is how many seconds a transaction is open now and then.
const outlier = 0.9

func (w *writer) pause(r *rand.Rand) float64 {
	if r.IntN(w.OutlierEvery) == 0 {
		return outlier
	}
	return w.Sleep * r.Float64()
}
