package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver

	"github.com/seed57833328/rondo/saga"
)

// byHand writes what sagas write, without them: one connection, statements that
// were prepared.
type byHand struct {
	path      string
	decisions []saga.Change
	queue     chan *handDecision

	mu                                   sync.Mutex // over the connection
	begin, commit, insert, update, enter *sql.Stmt
	move, keep                           *sql.Stmt
	commits                              atomic.Int64
}

type handDecision struct {
	key    string
	change *saga.Change
	effect bool // it is followed by one
	done   chan error
}

func newByHand(b *testing.B, decisions []saga.Change) *byHand {
	b.Helper()
	h := &byHand{path: file(b), decisions: decisions, queue: make(chan *handDecision, 128)}
	uri := url.URL{Scheme: "file", Path: h.path, RawQuery: url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "cache_size(-16384)"}}.Encode()}
	db, err := sql.Open("sqlite", uri.String())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(b.Context(), `
		CREATE TABLE reservation (
			sequence INTEGER NOT NULL, updated INTEGER NOT NULL, due INTEGER,
			key TEXT PRIMARY KEY, status TEXT NOT NULL, state BLOB NOT NULL, work BLOB NOT NULL) STRICT;
		CREATE INDEX reservation_due ON reservation (due) WHERE due IS NOT NULL;
		CREATE TABLE decision (
			key TEXT NOT NULL, sequence INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, data BLOB NOT NULL,
			PRIMARY KEY (key, sequence)) STRICT, WITHOUT ROWID;
		CREATE TABLE moves (n INTEGER PRIMARY KEY, what TEXT NOT NULL);
		CREATE TABLE done (key TEXT NOT NULL, effect INTEGER NOT NULL, outcome TEXT, PRIMARY KEY (key, effect)) STRICT, WITHOUT ROWID`)
	require.NoError(b, err)
	for stmt, text := range map[**sql.Stmt]string{
		&h.begin: `BEGIN IMMEDIATE`, &h.commit: `COMMIT`,
		&h.insert: `INSERT INTO reservation (sequence, updated, due, status, state, work, key) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		&h.update: `UPDATE reservation SET sequence = ?, updated = ?, due = ?, status = ?, state = ?, work = ? WHERE key = ? AND sequence = ?`,
		&h.move:   `INSERT INTO moves (what) VALUES (?)`, &h.keep: `INSERT INTO done (key, effect, outcome) VALUES (?, ?, ?)`,
		&h.enter: `INSERT INTO decision (key, sequence, at, kind, data) VALUES (?, ?, ?, ?, ?)`,
	} {
		*stmt, err = db.PrepareContext(b.Context(), text)
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, (*stmt).Close()) })
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.write(context.WithoutCancel(b.Context()))
	}()
	b.Cleanup(func() {
		close(h.queue)
		<-ended
	})
	return h
}

// single does a saga in a transaction for each decision.
func (h *byHand) single(ctx context.Context, key string) error {
	for i := range h.decisions {
		if err := h.together(ctx, []*handDecision{{key: key, change: &h.decisions[i]}}); err != nil {
			return err
		}
	}
	return nil
}

// chain does a whole saga in one transaction: after each decision but the last an
// effect, with its key.
func (h *byHand) chain(ctx context.Context, key string) error {
	var all []*handDecision
	for i := range h.decisions {
		all = append(all, &handDecision{key: key, change: &h.decisions[i], effect: i < len(h.decisions)-1})
	}
	return h.together(ctx, all)
}

// group does a saga by way of the writer.
func (h *byHand) group(ctx context.Context, key string) error {
	for i := range h.decisions {
		d := &handDecision{key: key, change: &h.decisions[i], done: make(chan error, 1)}
		h.queue <- d
		if err := <-d.done; err != nil {
			return err
		}
	}
	return ctx.Err()
}

// write commits what waits, together.
func (h *byHand) write(ctx context.Context) {
	for d := range h.queue {
		batch := []*handDecision{d}
	more:
		for {
			select {
			case next, open := <-h.queue:
				if !open {
					break more
				}
				batch = append(batch, next)
			default:
				break more
			}
		}
		err := h.together(ctx, batch)
		for _, d := range batch {
			d.done <- err
		}
	}
}

// together writes decisions in one transaction.
func (h *byHand) together(ctx context.Context, batch []*handDecision) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.begin.ExecContext(ctx); err != nil {
		return err
	}
	for _, d := range batch {
		r, e := &d.change.Record, &d.change.Entry
		var due any
		if !r.Due.IsZero() {
			due = r.Due.UnixMicro()
		}
		args := []any{r.Sequence, r.Updated.UnixMicro(), due, string(r.Status), r.State, r.Work, d.key}
		stmt := h.insert
		if r.Sequence > 1 {
			stmt, args = h.update, append(args, r.Sequence-1)
		}
		result, err := stmt.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(errors.New("it is at another sequence"), err)
		}
		if _, err := h.enter.ExecContext(ctx, d.key, r.Sequence, e.At.UnixMicro(), e.Kind, e.Data); err != nil {
			return err
		}
		if !d.effect {
			continue
		}
		if _, err := h.move.ExecContext(ctx, "move"); err != nil {
			return err
		}
		if _, err := h.keep.ExecContext(ctx, d.key, r.Sequence, "{}"); err != nil {
			return err
		}
	}
	h.commits.Add(1)
	_, err := h.commit.ExecContext(ctx)
	return err
}
