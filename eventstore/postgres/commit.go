package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/pghome"
)

const (
	// commitTimeout is how long the commit of a batch may take.
	commitTimeout = 30 * time.Second
	// maxRaces is how often an append that lost a race is tried again. Each time
	// another has won, so only an append without an expected version can lose
	// often.
	maxRaces = 100
)

// raceBackoff is how long an append that has lost several races waits at most.
const raceBackoff = 20 * time.Millisecond

// commit commits appends in one transaction, and finishes them. One that is
// refused does not hinder the others. The context is the caller's, or one of the
// store's own for appends of many.
func (s *Store) commit(ctx context.Context, own bool, batch []*request) {
	if s.commitAs(ctx, own, batch, quick) {
		s.tail.appended()
	}
}

// commitAs tells whether anything was written.
func (s *Store) commitAs(ctx context.Context, own bool, batch []*request, m mode) (wrote bool) {
	verdicts, err := s.race(ctx, batch, m)
	if err != nil && len(batch) > 1 && isRefusal(err) {
		// One of them spoils it for all; which one shows when each is alone.
		for _, r := range batch {
			wrote = s.commitAs(ctx, own, []*request{r}, exact) || wrote
		}
		return wrote
	}
	var undecided []*request
	for i, r := range batch {
		switch {
		case err != nil:
			r.finish(nil, outcome(ctx, own, r, err))
		case verdicts[i].undecided:
			undecided = append(undecided, r)
		default:
			wrote = wrote || verdicts[i].err == nil
			r.finish(verdicts[i].appended, verdicts[i].err)
		}
	}
	if len(undecided) > 0 {
		wrote = s.commitAs(ctx, own, undecided, exact) || wrote
	}
	return wrote
}

// race commits appends, again if another transaction was faster: then they are
// decided anew, on what that has left.
func (s *Store) race(ctx context.Context, batch []*request, m mode) ([]verdict, error) {
	for lost := 0; ; lost++ {
		verdicts, err := s.attempt(ctx, batch, m)
		most := maxRaces
		if len(batch) > 1 {
			most = 3 // then one by one
		}
		if !lostRace(err) || lost >= most {
			return verdicts, err
		}
		m = careful
		if lost > 2 {
			if err := pause(ctx, rand.N(raceBackoff)); err != nil {
				return nil, &unsentError{err}
			}
		}
	}
}

// attempt commits appends. The error is of all of them.
func (s *Store) attempt(ctx context.Context, batch []*request, m mode) ([]verdict, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, &unsentError{err}
	}
	defer conn.Release()
	return execute(ctx, conn, batch, m)
}

// unsentError is the error of something that was not sent.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }

func (e *unsentError) Unwrap() error { return e.err }

// unknownError is the error of a commit that may have happened.
type unknownError struct{ err error }

func (e *unknownError) Error() string { return e.err.Error() }

func (e *unknownError) Unwrap() error { return e.err }

// classify tells what an error says of a commit, by wrapping it. answered tells
// that the statement was done when it came.
func classify(err error, answered bool) error {
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		// Errors end the transaction. But a session can also be ended after the
		// commit, before it could say so.
		if answered && refused.SeverityUnlocalized != "ERROR" || pghome.PoolerLost(refused) {
			return &unknownError{err}
		}
		return err
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return err
	case pgconn.SafeToRetry(err):
		return &unsentError{err}
	}
	return &unknownError{err}
}

// lostRace tells that another transaction was faster, or in the way.
func lostRace(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, new(*unknownError)) || !errors.As(err, &refused) {
		return false
	}
	return refused.Code == pghome.UniqueViolation || refused.Code == pghome.Serialization || refused.Code == pghome.Deadlock
}

// isRefusal tells that the server has refused the statement, for what was in it,
// or lost races.
func isRefusal(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.SeverityUnlocalized == "ERROR" &&
		!errors.As(err, new(*unknownError)) && !errors.As(err, new(*unsentError))
}

// outcome is the error of an append whose commit ended with that one.
func outcome(ctx context.Context, own bool, r *request, err error) error {
	switch {
	case errors.As(err, new(*unknownError)):
		return r.unknown(err)
	case !errors.As(err, new(*unsentError)):
		return explain("append", err)
	}
	if own && errors.Is(context.Cause(ctx), eventstore.ErrClosed) {
		return eventstore.ErrClosed
	}
	if own && ctx.Err() != nil {
		return &Error{Doing: "append", Reason: fmt.Sprintf("no connection was to be had in %s", commitTimeout), Err: err, retryable: true}
	}
	return explain("append", err)
}

// pause waits, but no longer than its context.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
