package gapsafe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
)

// pollPause is between two reads of a reader that polls: about as long as what
// the writers do takes.
const pollPause = 3 * time.Millisecond

// read follows the log and writes the position, stream and version of each event,
// one to a line, until it has reached the position that it is told on in.
func read(ctx context.Context, job task, in io.Reader, out *bufio.Writer) error {
	store, err := postgres.Open(ctx, job.URL, postgres.Config{})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var end atomic.Int64
	told := make(chan error, 1)
	go func() {
		var p int64
		_, err := fmt.Fscan(in, &p)
		end.Store(p)
		told <- err
	}()
	sink := func(e eventstore.Recorded) error {
		_, err := fmt.Fprintln(out, int64(e.Position), e.Stream, int64(e.Version))
		return err
	}
	switch job.How {
	case "subscribe":
		// The end may be told when its event has long been handed out.
		var last atomic.Int64
		go func() {
			if err := <-told; err != nil || last.Load() >= end.Load() {
				stop()
			}
		}()
		for e, err := range store.Subscribe(ctx, 0, eventstore.Filter{}) {
			if errors.Is(err, context.Canceled) {
				break
			}
			if err != nil {
				return err
			}
			if err := sink(e); err != nil {
				return err
			}
			last.Store(int64(e.Position))
			if p := end.Load(); p > 0 && int64(e.Position) >= p {
				break
			}
		}
	case "poll", "naive":
		after := eventstore.Position(0)
		for {
			final := end.Load() // before reading: what is there then is read
			next := store.ReadAll(ctx, after, eventstore.Filter{})
			if job.How == "naive" {
				next = naive(ctx, job.URL, after)
			}
			for e, err := range next {
				if err != nil {
					if eventstore.Retryable(err) || brokenConnection(err) {
						break
					}
					return err
				}
				if err := sink(e); err != nil {
					return err
				}
				after = e.Position
			}
			if err := out.Flush(); err != nil { // whoever has started it may wait for that
				return err
			}
			if final > 0 && int64(after) >= final {
				break
			}
			pause(ctx, pollPause)
		}
	default:
		return fmt.Errorf("unknown way to read %q", job.How)
	}
	return store.Close()
}

// naive reads what is there, which is a mistake: it passes over what is committed
// later with a lower position.
func naive(ctx context.Context, url string, after eventstore.Position) func(func(eventstore.Recorded, error) bool) {
	return func(yield func(eventstore.Recorded, error) bool) {
		events, err := func() ([]eventstore.Recorded, error) {
			conn, err := pgx.Connect(ctx, url)
			if err != nil {
				return nil, err
			}
			defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
			return readNaively(ctx, conn, after)
		}()
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// readNaively reads all that stands after a position now.
func readNaively(ctx context.Context, conn *pgx.Conn, after eventstore.Position) (events []eventstore.Recorded, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('rondo.tenant', '.*', true)`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT position, stream, version FROM rondo.events WHERE position > $1 ORDER BY position`, int64(after))
		if err != nil {
			return err
		}
		events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e eventstore.Recorded, err error) {
			err = row.Scan((*int64)(&e.Position), &e.Stream, (*int64)(&e.Version))
			return e, err
		})
		return err
	})
	return events, err
}

// brokenConnection tells that a session was ended by the test.
func brokenConnection(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code == "57P01" || refused.Code == "40P01" // or a deadlock of two users' transactions
	}
	return pgconn.SafeToRetry(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "broken pipe") ||
		strings.Contains(err.Error(), "connection reset")
}
