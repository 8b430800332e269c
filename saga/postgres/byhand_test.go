package postgres_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
)

// byHand writes what sagas write, without them.
type byHand struct {
	pool      *pgxpool.Pool
	decisions []saga.Change
	queue     chan *handDecision

	commits atomic.Int64
}

type handDecision struct {
	key    string
	change *saga.Change
	done   chan error
}

func newByHand(b *testing.B, db *postgrestest.Database, decisions []saga.Change) *byHand {
	b.Helper()
	cfg := db.Config(b)
	cfg.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), `
		CREATE TABLE reservation (
			sequence bigint NOT NULL, updated timestamptz NOT NULL, due timestamptz,
			key text COLLATE "C" PRIMARY KEY, status text NOT NULL, state bytea NOT NULL, work bytea NOT NULL) WITH (fillfactor = 60);
		CREATE INDEX reservation_due ON reservation (due) WHERE due IS NOT NULL;
		CREATE TABLE decision (
			key text COLLATE "C" NOT NULL, sequence bigint NOT NULL, at timestamptz NOT NULL, kind text NOT NULL, data bytea NOT NULL,
			PRIMARY KEY (key, sequence));
		CREATE TABLE done (effect text COLLATE "C" PRIMARY KEY, outcome jsonb);
		CREATE TABLE moves (n bigserial, what text NOT NULL, effect text NOT NULL)`)
	require.NoError(b, err)
	h := &byHand{pool: pool, decisions: decisions, queue: make(chan *handDecision, 128)}
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

func (h *byHand) counts() (commits, statements int64) { return h.commits.Load(), h.commits.Load() }

var errHandConflict = errors.New("conflict")

// single commits each decision of a saga by itself.
func (h *byHand) single(ctx context.Context, key string) error {
	for i := range h.decisions {
		h.commits.Add(1)
		if err := h.decide(ctx, h.pool, key, &h.decisions[i]); err != nil {
			return err
		}
	}
	return nil
}

// chain does a whole saga in one transaction: after each decision but the last an
// effect, with its key.
func (h *byHand) chain(ctx context.Context, key string) error {
	h.commits.Add(1)
	return pgx.BeginFunc(ctx, h.pool, func(tx pgx.Tx) error {
		for i := range h.decisions {
			if err := h.decide(ctx, tx, key, &h.decisions[i]); err != nil || i == len(h.decisions)-1 {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO moves (what, effect) VALUES ($1, $2)`, "move", key+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO done (effect, outcome) VALUES ($1, $2)`, key+"/"+strconv.Itoa(i), "{}"); err != nil {
				return err
			}
		}
		return nil
	})
}

// decide makes a decision, in one statement.
func (h *byHand) decide(ctx context.Context, on interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, key string, c *saga.Change,
) error {
	sql := `
			WITH head AS (
				UPDATE reservation SET sequence = $2::bigint, updated = $3::timestamptz, due = $4::timestamptz, status = $5::text, state = $6::bytea, work = $7::bytea
				WHERE key = $1::text AND sequence = $2::bigint - 1 RETURNING key)
			INSERT INTO decision (key, sequence, at, kind, data) SELECT key, $2::bigint, $3::timestamptz, $8::text, $9::bytea FROM head`
	if c.Record.Sequence == 1 {
		sql = `
			WITH head AS (
				INSERT INTO reservation (key, sequence, updated, due, status, state, work)
				VALUES ($1::text, $2::bigint, $3::timestamptz, $4::timestamptz, $5::text, $6::bytea, $7::bytea) ON CONFLICT DO NOTHING RETURNING key)
			INSERT INTO decision (key, sequence, at, kind, data) SELECT key, $2::bigint, $3::timestamptz, $8::text, $9::bytea FROM head`
	}
	r := &c.Record
	tag, err := on.Exec(ctx, sql, key, r.Sequence, r.Updated, pgtype.Timestamptz{Time: r.Due, Valid: !r.Due.IsZero()}, string(r.Status), r.State, r.Work,
		c.Entry.Kind, c.Entry.Data)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return errHandConflict
	}
	return nil
}

// group has the writer commit each.
func (h *byHand) group(ctx context.Context, key string) error {
	d := handDecision{key: key, done: make(chan error, 1)}
	for i := range h.decisions {
		d.change = &h.decisions[i]
		h.queue <- &d
		select {
		case err := <-d.done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// write commits together what waits, until the queue is closed.
func (h *byHand) write(ctx context.Context) {
	for first := range h.queue {
		batch := []*handDecision{first}
	take:
		for len(batch) < cap(h.queue) {
			select {
			case d, open := <-h.queue:
				if !open {
					break take
				}
				batch = append(batch, d)
			default:
				break take
			}
		}
		made, err := h.commit(ctx, batch)
		for _, d := range batch {
			switch {
			case err != nil:
				d.done <- err
			case !made[d.key]:
				d.done <- errHandConflict
			default:
				d.done <- nil
			}
		}
	}
}

func (h *byHand) commit(ctx context.Context, batch []*handDecision) (made map[string]bool, err error) {
	n := len(batch)
	keys, sequences, updated, due := make([]string, n), make([]int64, n), make([]time.Time, n), make([]pgtype.Timestamptz, n)
	status, state, work, kind, data := make([]string, n), make([][]byte, n), make([][]byte, n), make([]string, n), make([][]byte, n)
	for i, d := range batch {
		r := &d.change.Record
		keys[i], sequences[i], updated[i], due[i] = d.key, r.Sequence, r.Updated, pgtype.Timestamptz{Time: r.Due, Valid: !r.Due.IsZero()}
		status[i], state[i], work[i], kind[i], data[i] = string(r.Status), r.State, r.Work, d.change.Entry.Kind, d.change.Entry.Data
	}
	h.commits.Add(1)
	rows, err := h.pool.Query(ctx, `
		WITH c AS MATERIALIZED (
			SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::bytea[], $7::bytea[], $8::text[], $9::bytea[])
				AS c(key, sequence, updated, due, status, state, work, kind, data)
		), head AS (
			INSERT INTO reservation AS r (key, sequence, updated, due, status, state, work)
			SELECT key, sequence, updated, due, status, state, work FROM c
			ON CONFLICT (key) DO UPDATE SET sequence = EXCLUDED.sequence, updated = EXCLUDED.updated, due = EXCLUDED.due, status = EXCLUDED.status,
				state = EXCLUDED.state, work = EXCLUDED.work
			WHERE r.sequence = EXCLUDED.sequence - 1
			RETURNING key
		)
		INSERT INTO decision (key, sequence, at, kind, data) SELECT key, c.sequence, c.updated, c.kind, c.data FROM head JOIN c USING (key)
		RETURNING key`,
		keys, sequences, updated, due, status, state, work, kind, data)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	made = make(map[string]bool, n)
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		made[key] = true
	}
	return made, rows.Err()
}
