package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/saga"
)

// Decisions that follow one another are one statement, which writes the head once,
// as the last has made it.
const (
	entriesOfOne = `, entry AS (
	INSERT INTO rondo.saga_history (saga, sequence, at, kind, data)
	SELECT head.number, e.* FROM head, unnest($20::bigint[], $21::timestamptz[], $22::text[], $23::bytea[]) AS e
)`
	messagesOfOne = `, consumed AS (
	DELETE FROM rondo.saga_inbox WHERE position = ANY ($24::bigint[]) AND EXISTS (SELECT FROM head)
), posted AS (
	INSERT INTO rondo.saga_inbox (at, shard, tenant, type, key, id, kind, body)
	SELECT u.at, u.shard, u.tenant, u.type, u.key, u.id, u.kind, u.body
	FROM unnest($25::text[], $26::text[], $27::text[], $28::smallint[], $29::text[], $30::text[], $31::bytea[], $32::timestamptz[])
		WITH ORDINALITY AS u(tenant, type, key, shard, id, kind, body, at, n)
	WHERE EXISTS (SELECT FROM head) ORDER BY u.n
	ON CONFLICT (tenant, type, key, id) DO NOTHING
)`
	verdictOfOne = `
SELECT CASE WHEN EXISTS (SELECT FROM head) THEN 1 WHEN {held} THEN 2 ELSE 3 END WHERE $19::bigint >= 0`
)

// chainKind says which of chainSQL a chain takes.
type chainKind struct{ start, fenced, messages bool }

var chainSQL = func() map[chainKind]string {
	all := map[chainKind]string{}
	for start, head := range map[bool]string{true: startOneSQL, false: strings.ReplaceAll(nextOneSQL, "$6::bigint - 1", "$19::bigint")} {
		for fenced, held := range map[bool]string{true: heldOne, false: unheldOne} {
			for messages, part := range map[bool]string{true: messagesOfOne, false: ""} {
				all[chainKind{start, fenced, messages}] = strings.ReplaceAll(head+entriesOfOne+part+verdictOfOne, "{held}", held)
			}
		}
	}
	return all
}()

// joined is the transaction of a CommitTx, in the context of its function. What
// nobody waits for, its beginning among it, is sent with the next statement that
// somebody does: a round trip costs more than most of them.
type joined struct {
	store *Store
	tx    pgx.Tx // nil if it has not begun
	later []statement
}

type statement struct {
	sql  string
	args []any
}

type joinedKey struct{}

// send sends statements, behind those that were left for later.
func (j *joined) send(ctx context.Context, b *pgx.Batch) error {
	all := &pgx.Batch{}
	if j.tx == nil {
		all.BeginTx(pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	}
	for _, s := range j.later {
		all.Queue(s.sql, s.args...)
	}
	all.QueuedQueries, j.later = append(all.QueuedQueries, b.QueuedQueries...), j.later[:0]
	if j.tx != nil {
		return j.tx.SendBatch(ctx, all).Close()
	}
	results := j.store.pool.SendBatch(ctx, all)
	j.tx = results.Tx()
	return results.Close()
}

// rollBack does nothing after the commit. The context may have ended.
func (j *joined) rollBack(ctx context.Context) {
	if j.tx != nil {
		_ = j.tx.Rollback(context.WithoutCancel(ctx)) // a connection that cannot roll back is closed, which does
	}
}

// Joins tells whether db is this home, or the pool that it was given; see
// [saga.Transactional].
func (s *Store) Joins(db any) bool { return db == any(s) || db == any(s.pool) }

// BeginTx begins a transaction of the caller's, for [HandleTx].
func (s *Store) BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	tx, err := s.pool.BeginTx(ctx, options)
	if err != nil {
		return nil, s.ended(ctx, err)
	}
	return tx, nil
}

// CommitTx commits what a function does, and the changes that it returns; see
// [saga.Transactional]. The transaction is READ COMMITTED.
func (s *Store) CommitTx(ctx context.Context, f func(ctx context.Context) ([]saga.Change, error)) (verdict saga.Verdict, err error) {
	const doing = "commit decisions with their effects"
	if err := s.open(ctx); err != nil {
		return 0, explain(doing, err)
	}
	j := &joined{store: s}
	defer j.rollBack(ctx)
	changes, err := f(context.WithValue(ctx, joinedKey{}, j))
	if err == nil {
		err = saga.CheckChain(changes)
	}
	if err != nil {
		return 0, err
	}
	c := chainOf(changes)
	var made int32
	b := &pgx.Batch{}
	b.Queue(chainSQL[c.kind], c.args...).QueryRow(func(row pgx.Row) error { return row.Scan(&made) })
	if err := j.send(ctx, b); err != nil {
		return 0, s.ended(ctx, explain(doing, err))
	}
	if verdict = saga.Verdict(made); verdict != saga.Committed {
		return verdict, nil
	}
	if err := j.tx.Commit(ctx); err != nil {
		return 0, s.ended(ctx, explain(doing, err))
	}
	if c.posts {
		s.rouse()
	}
	return verdict, nil
}

// chainArgs are decisions that follow one another, for a statement.
type chainArgs struct {
	kind  chainKind
	args  []any
	posts bool
}

func chainOf(changes []saga.Change) chainArgs {
	first, last, n := &changes[0], &changes[len(changes)-1], len(changes)
	sequences, at, kinds, data := make([]int64, n), make([]time.Time, n), make([]string, n), make([][]byte, n)
	var m messageColumns
	for i := range changes {
		c := &changes[i]
		sequences[i], at[i], kinds[i], data[i] = c.Entry.Sequence, encodeTime(c.Entry.At), c.Entry.Kind, encodeBytes(c.Entry.Data)
		m.consumed = append(m.consumed, c.Consumed...)
		for j := range c.Posts {
			m.add(1, &c.Posts[j])
		}
	}
	a := chainArgs{posts: len(m.id) > 0}
	a.kind = chainKind{first.Record.Sequence == 1, last.Epoch != 0, a.posts || len(m.consumed) > 0}
	const ofHead = 18 // of oneArgs
	args := oneArgs(last)[:ofHead]
	a.args = append(args, first.Record.Sequence-1, sequences, at, kinds, data) //nolint:gocritic // what is behind it is not used
	if a.kind.messages {
		a.args = append(a.args, m.consumed, m.tenant, m.sagaType, m.key, m.shard, m.id, m.kind, m.body, m.at)
	}
	return a
}
