package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

const (
	insertEvent   = `INSERT INTO rondo_events (tenant, stream, version, id, type, schema, at, meta, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	streamVersion = `SELECT version FROM rondo_events WHERE tenant = ? AND stream = ? ORDER BY version DESC LIMIT 1`
	eventIsThere  = `SELECT 1 FROM rondo_events WHERE tenant = ? AND id = ?`
)

// Columns of insertEvent that are known only in the transaction.
const (
	versionColumn = 2
	atColumn      = 6
)

// appending is an append on its way.
type appending struct {
	tenant string
	writes []eventstore.Write
	// drawn has, for each event, whether the store drew its id, so that no other
	// has it.
	drawn [][]bool
	rows  [][][]any // arguments of insertEvent for each event
	bytes int

	before    []eventstore.Version // of the streams
	positions [][]eventstore.Position
	at        time.Time
}

// prepare checks and encodes an append.
func (s *Store) prepare(ctx context.Context, writes []eventstore.Write) (*appending, error) {
	prepared, err := eventstore.Prepare(writes)
	if err != nil {
		return nil, err
	}
	tenant, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	a := &appending{
		tenant: tenant, writes: prepared,
		drawn:     make([][]bool, len(writes)),
		rows:      make([][][]any, len(writes)),
		before:    make([]eventstore.Version, len(writes)),
		positions: make([][]eventstore.Position, len(writes)),
	}
	var anyTenant any = tenant
	for i := range prepared {
		w := &prepared[i]
		var stream any = w.Stream
		a.drawn[i] = make([]bool, len(w.Events))
		a.rows[i] = make([][]any, len(w.Events))
		a.positions[i] = make([]eventstore.Position, len(w.Events))
		for j := range w.Events {
			e := &w.Events[j]
			meta, err := encodeMeta(&e.Meta)
			if err != nil {
				return nil, fmt.Errorf("append to %q: %w", w.Stream, err)
			}
			a.drawn[i][j] = writes[i].Events[j].ID == uuid.Nil
			a.rows[i][j] = []any{anyTenant, stream, nil, e.ID[:], e.Type, int64(e.Schema), nil, meta, blob(e.Data)}
			a.bytes += len(e.Data)
		}
		if w.Claim != nil {
			a.bytes += len(w.Claim.Result)
		}
	}
	return a, nil
}

// Append commits all writes or none; see [eventstore.Store]. Appends that wait
// at the same time are committed together.
func (s *Store) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	a, err := s.prepare(ctx, writes)
	if err != nil {
		return nil, err
	}
	if len(writes) == 0 {
		return nil, nil
	}
	j := &sqlitefile.Job{
		Bytes: a.bytes,
		Run: func(w *sqlitefile.Writer, now time.Time) (verdict, err error) {
			if verdict, err := a.check(context.Background(), w.Conn(), now); verdict != nil || err != nil {
				return verdict, err
			}
			s.file.News()
			return nil, a.insert(context.Background(), w.Conn(), now)
		},
		Unsure: func(err error) error {
			return &eventstore.UnknownOutcomeError{IDs: eventstore.IDs(a.writes), Err: err}
		},
	}
	if err := s.file.Submit(ctx, j, true); err != nil {
		return nil, err
	}
	select {
	case <-j.Done():
	case <-ctx.Done():
		if j.Withdraw() {
			return nil, ctx.Err()
		}
		if !verdictInTime(j) {
			return nil, &eventstore.UnknownOutcomeError{IDs: eventstore.IDs(a.writes), Err: ctx.Err()}
		}
	}
	if j.Verdict() != nil {
		return nil, j.Verdict()
	}
	return a.appended(), nil
}

// verdictInTime waits for a job that is being committed though its context has
// ended: it is better to know than to be back at once, within limits.
func verdictInTime(j *sqlitefile.Job) bool {
	const patience = 100 * time.Millisecond
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-j.Done():
		return true
	case <-timer.C:
		return false
	}
}

// check finds what forbids the writes: duplicates, claims, conflicts, in this
// order.
func (a *appending) check(ctx context.Context, x sqlitefile.Executor, now time.Time) (verdict, err error) {
	for i := range a.writes {
		for j, drawn := range a.drawn[i] {
			if drawn {
				continue
			}
			found, err := sqlitefile.First(ctx, x, nil, eventIsThere, a.tenant, a.writes[i].Events[j].ID[:])
			if err != nil {
				return nil, err
			}
			if found {
				return &eventstore.DuplicateEventError{Stream: a.writes[i].Stream, ID: a.writes[i].Events[j].ID}, nil
			}
		}
	}
	var taken []eventstore.Claim
	for i := range a.writes {
		if c := a.writes[i].Claim; c != nil {
			there, found, err := loadClaim(ctx, x, a.tenant, c.Key, now)
			if err != nil {
				return nil, err
			}
			if found {
				taken = append(taken, there)
			}
		}
	}
	if len(taken) > 0 {
		return &eventstore.ClaimedError{Claim: taken[0], More: taken[1:]}, nil
	}
	for i := range a.writes {
		w := &a.writes[i]
		if len(w.Events) == 0 {
			continue
		}
		actual, err := versionOf(ctx, x, a.tenant, w.Stream)
		if err != nil {
			return nil, err
		}
		if !w.Expected.Allows(actual) {
			return &eventstore.ConflictError{Stream: w.Stream, Expected: w.Expected, Actual: actual}, nil
		}
		a.before[i] = actual
	}
	return nil, nil
}

func (a *appending) insert(ctx context.Context, x sqlitefile.Executor, now time.Time) error {
	a.at = recordable(now)
	var at any = a.at.UnixMicro()
	for i := range a.writes {
		w := &a.writes[i]
		if w.Claim != nil {
			if err := saveClaim(ctx, x, a.tenant, w.Claim); err != nil {
				return fmt.Errorf("claim %q: %w", w.Claim.Key, err)
			}
		}
		for j, row := range a.rows[i] {
			row[versionColumn] = int64(a.before[i]) + int64(j) + 1
			row[atColumn] = at
			result, err := x.Exec(ctx, insertEvent, row...)
			if err != nil {
				return fmt.Errorf("append to %q: %w", w.Stream, err)
			}
			position, err := result.LastInsertId()
			if err != nil {
				return fmt.Errorf("append to %q: %w", w.Stream, err)
			}
			a.positions[i][j] = eventstore.Position(position)
		}
	}
	return nil
}

// appended is what became of the writes, once they are committed.
func (a *appending) appended() []eventstore.Appended {
	done := make([]eventstore.Appended, len(a.writes))
	for i := range a.writes {
		w := &a.writes[i]
		if len(w.Events) == 0 {
			continue
		}
		recorded := make([]eventstore.Recorded, len(w.Events))
		for j := range w.Events {
			e := &w.Events[j]
			recorded[j] = eventstore.Recorded{
				ID: e.ID, Tenant: a.tenant, Stream: w.Stream, Type: e.Type, Schema: e.Schema,
				Version: a.before[i] + eventstore.Version(j) + 1, Position: a.positions[i][j],
				Data: e.Data, Meta: e.Meta, At: a.at,
			}
		}
		last := &recorded[len(recorded)-1]
		done[i] = eventstore.Appended{Stream: w.Stream, Version: last.Version, Position: last.Position, Events: recorded}
	}
	return done
}

func versionOf(ctx context.Context, x sqlitefile.Executor, tenant, stream string) (eventstore.Version, error) {
	var version int64
	_, err := sqlitefile.First(ctx, x, func(row []driver.Value) error { return sqlitefile.Scan(row, &version) }, streamVersion, tenant, stream)
	return eventstore.Version(version), err
}
