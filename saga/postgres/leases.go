package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
)

// fleetLock is the key of the advisory lock under which workers and leases change:
// "rondosag" in ASCII. That is seldom, and so nothing can come between.
const fleetLock = 0x726f6e646f736167

// forgetAfter is how long a worker that has not said that it lives is remembered.
const forgetAfter = "24 hours"

const (
	lockFleetSQL = `SELECT pg_advisory_xact_lock($1)`

	forgetSQL = `DELETE FROM rondo.saga_workers WHERE expires < clock_timestamp() - interval '` + forgetAfter + `'`

	// An incarnation is drawn before it joins. One that the server is slow to let join,
	// as a dead process may have left behind, does not fence those after it.
	drawSQL = `SELECT nextval('rondo.saga_incarnation')`
	joinSQL = `
INSERT INTO rondo.saga_workers AS w (id, incarnation, expires, draining, types)
VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond', $4, $5)
ON CONFLICT (id) DO UPDATE SET incarnation = EXCLUDED.incarnation, expires = EXCLUDED.expires, draining = EXCLUDED.draining, types = EXCLUDED.types
WHERE w.incarnation < EXCLUDED.incarnation`
	inheritSQL = `
UPDATE rondo.saga_leases SET epoch = epoch + 1, owner = CASE WHEN type = ANY ($3::text[]) THEN owner ELSE '' END
WHERE owner = $1 AND EXISTS (SELECT FROM rondo.saga_workers WHERE id = $1 AND incarnation = $2)`

	beatSQL = `
UPDATE rondo.saga_workers SET expires = clock_timestamp() + $3::bigint * interval '1 microsecond', draining = $4, types = $5
WHERE id = $1 AND incarnation = $2`
	// Leases are read before workers: a worker that joins and claims in between
	// is there, and its claims are not, which the epochs make good.
	leasesSQL  = `SELECT type, shard, owner, epoch FROM rondo.saga_leases WHERE $1::text[] IS NULL OR type = ANY ($1::text[]) ORDER BY type, shard`
	membersSQL = `SELECT id, incarnation, types, draining, expires > clock_timestamp() FROM rondo.saga_workers ORDER BY id`
	pausesSQL  = `SELECT 0::bigint, type, worker, paused, actor, reason, at FROM rondo.saga_pauses ORDER BY type`

	currentSQL = `SELECT EXISTS (SELECT FROM rondo.saga_workers WHERE id = $1 AND incarnation = $2)`
	claimSQL   = `
INSERT INTO rondo.saga_leases AS l (type, shard, epoch, owner)
SELECT c.type, c.shard, c.epoch + 1, $1::text
FROM unnest($3::text[], $4::smallint[], $5::bigint[]) AS c(type, shard, epoch)
WHERE EXISTS (SELECT FROM rondo.saga_workers w WHERE w.id = $1 AND w.incarnation = $2)
	AND (c.epoch = 0 OR EXISTS (SELECT FROM rondo.saga_leases e WHERE e.type = c.type AND e.shard = c.shard))
ON CONFLICT (type, shard) DO UPDATE SET epoch = EXCLUDED.epoch, owner = EXCLUDED.owner WHERE l.epoch = EXCLUDED.epoch - 1
RETURNING type, shard, owner, epoch`
	releaseSQL = `
UPDATE rondo.saga_leases l SET epoch = l.epoch + 1, owner = ''
FROM unnest($2::text[], $3::smallint[], $4::bigint[]) AS g(type, shard, epoch)
WHERE l.type = g.type AND l.shard = g.shard AND l.epoch = g.epoch AND l.owner = $1`
	leaveSQL = `
WITH gone AS (DELETE FROM rondo.saga_workers WHERE id = $1 AND incarnation = $2 RETURNING id)
UPDATE rondo.saga_leases l SET epoch = l.epoch + 1, owner = '' FROM gone WHERE l.owner = gone.id`

	pauseSQL = `
WITH logged AS (
	INSERT INTO rondo.saga_pause_log (type, worker, paused, actor, reason, at) VALUES ($1, $2, $3, $4, $5, $6)
	RETURNING type, worker, paused, actor, reason, at
)
INSERT INTO rondo.saga_pauses (type, worker, paused, actor, reason, at) SELECT type, worker, paused, actor, reason, at FROM logged
ON CONFLICT (type) DO UPDATE SET worker = EXCLUDED.worker, paused = EXCLUDED.paused, actor = EXCLUDED.actor, reason = EXCLUDED.reason, at = EXCLUDED.at`
	pauseLogSQL = `
SELECT number, type, worker, paused, actor, reason, at FROM rondo.saga_pause_log
WHERE ($1::text = '' OR type = $1) AND ($2::bigint = 0 OR number < $2) ORDER BY number DESC LIMIT $3`
)

// Join makes a new incarnation of a worker; see [saga.Leases].
func (s *Store) Join(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Worker, error) {
	if err := cmp.Or(saga.CheckWorker(w), eventstore.CheckTTL(ttl)); err != nil {
		return saga.Worker{}, err
	}
	types := typesOf(w)
	for joined := false; !joined; { // again, where another has joined just then
		err := s.query(ctx, "join", drawSQL, nil, func(rows pgx.Rows) (err error) {
			w.Incarnation, err = pgx.CollectOneRow(rows, pgx.RowTo[int64])
			return err
		})
		if err != nil {
			return saga.Worker{}, err
		}
		err = s.pipeline(ctx, "join", func(b *pgx.Batch) {
			b.Queue(lockFleetSQL, int64(fleetLock))
			b.Queue(forgetSQL)
			b.Queue(joinSQL, w.ID, w.Incarnation, microseconds(ttl), w.Draining, types).Exec(func(tag pgconn.CommandTag) error {
				joined = tag.RowsAffected() == 1
				return nil
			})
			b.Queue(inheritSQL, w.ID, w.Incarnation, types)
		})
		if err != nil {
			return saga.Worker{}, err
		}
	}
	w.Types = slices.Clone(w.Types)
	s.rouse()
	return w, nil
}

// Beat says that a worker lives; see [saga.Leases].
func (s *Store) Beat(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Fleet, error) {
	if err := cmp.Or(saga.CheckWorker(w), eventstore.CheckTTL(ttl)); err != nil {
		return saga.Fleet{}, err
	}
	var fleet saga.Fleet
	current := false
	err := s.pipeline(ctx, "beat", func(b *pgx.Batch) {
		fleet = saga.Fleet{}
		b.Queue(beatSQL, w.ID, w.Incarnation, microseconds(ttl), w.Draining, typesOf(w)).Exec(func(tag pgconn.CommandTag) error {
			current = tag.RowsAffected() == 1
			return nil
		})
		queueLook(b, typesOf(w), &fleet)
	})
	switch {
	case err != nil:
		return saga.Fleet{}, err
	case !current:
		return saga.Fleet{}, saga.ErrFenced
	}
	return fleet, nil
}

// Look returns who runs sagas; see [saga.Leases].
func (s *Store) Look(ctx context.Context) (fleet saga.Fleet, err error) {
	err = s.pipeline(ctx, "look at the workers", func(b *pgx.Batch) {
		fleet = saga.Fleet{}
		queueLook(b, nil, &fleet)
	})
	if err != nil {
		return saga.Fleet{}, err
	}
	return fleet, nil
}

// queueLook reads the fleet, with the leases of types, or of all if that is nil.
func queueLook(b *pgx.Batch, types []string, fleet *saga.Fleet) {
	b.Queue(leasesSQL, types).Query(func(rows pgx.Rows) (err error) {
		fleet.Leases, err = scanLeases(rows)
		return err
	})
	b.Queue(membersSQL).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var m saga.Member
			if err := rows.Scan(&m.ID, &m.Incarnation, &m.Types, &m.Draining, &m.Live); err != nil {
				return err
			}
			fleet.Members = append(fleet.Members, m)
		}
		return rows.Err()
	})
	b.Queue(pausesSQL).Query(func(rows pgx.Rows) error {
		last, err := scanPauses(rows)
		for _, e := range last {
			fleet.Pauses = append(fleet.Pauses, e.Pause)
		}
		return err
	})
}

// Claim makes a worker the owner of leases; see [saga.Leases].
func (s *Store) Claim(ctx context.Context, w saga.Worker, leases []saga.Lease) ([]saga.Lease, error) {
	if err := cmp.Or(saga.CheckWorker(w), saga.CheckLeases(leases)); err != nil {
		return nil, err
	}
	types, numbers, epochs := leaseColumns(leases)
	var claimed []saga.Lease
	current := false
	err := s.pipeline(ctx, "claim shards", func(b *pgx.Batch) {
		b.Queue(lockFleetSQL, int64(fleetLock))
		b.Queue(currentSQL, w.ID, w.Incarnation).QueryRow(func(row pgx.Row) error { return row.Scan(&current) })
		b.Queue(claimSQL, w.ID, w.Incarnation, types, numbers, epochs).Query(func(rows pgx.Rows) (err error) {
			claimed, err = scanLeases(rows)
			return err
		})
	})
	switch {
	case err != nil:
		return nil, err
	case !current:
		return nil, saga.ErrFenced
	}
	return claimed, nil
}

// Release gives leases up; see [saga.Leases].
func (s *Store) Release(ctx context.Context, w saga.Worker, leases []saga.Lease) error {
	if err := cmp.Or(saga.CheckWorker(w), saga.CheckLeases(leases)); err != nil {
		return err
	}
	types, numbers, epochs := leaseColumns(leases)
	return s.changeFleet(ctx, "release shards", releaseSQL, w.ID, types, numbers, epochs)
}

// Leave releases all that a worker owns; see [saga.Leases].
func (s *Store) Leave(ctx context.Context, w saga.Worker) error {
	if err := saga.CheckWorker(w); err != nil {
		return err
	}
	return s.changeFleet(ctx, "leave", leaveSQL, w.ID, w.Incarnation)
}

// SetPaused keeps a pause or a resumption; see [saga.Leases].
func (s *Store) SetPaused(ctx context.Context, p saga.Pause) error {
	if err := saga.CheckPause(p); err != nil {
		return err
	}
	return s.changeFleet(ctx, "pause type", pauseSQL, p.Type, p.Worker, p.Paused, p.Actor, p.Reason, encodeTime(p.At))
}

// PauseLog returns pauses and resumptions; see [saga.Leases].
func (s *Store) PauseLog(ctx context.Context, name string, before int64, limit int) (found []saga.PauseEntry, err error) {
	if err := saga.CheckLimit(limit); err != nil {
		return nil, err
	}
	err = s.query(ctx, "read log of pauses", pauseLogSQL, []any{name, before, limit}, func(rows pgx.Rows) (err error) {
		found, err = scanPauses(rows)
		return err
	})
	return found, err
}

func (s *Store) changeFleet(ctx context.Context, doing, sql string, args ...any) error {
	err := s.pipeline(ctx, doing, func(b *pgx.Batch) {
		b.Queue(lockFleetSQL, int64(fleetLock))
		b.Queue(sql, args...)
	})
	if err == nil {
		s.rouse()
	}
	return err
}

func scanPauses(rows pgx.Rows) (pauses []saga.PauseEntry, err error) {
	for rows.Next() {
		var e saga.PauseEntry
		if err := rows.Scan(&e.Number, &e.Type, &e.Worker, &e.Paused, &e.Actor, &e.Reason, &e.At); err != nil {
			return nil, err
		}
		e.At = e.At.UTC()
		pauses = append(pauses, e)
	}
	return pauses, rows.Err()
}

func scanLeases(rows pgx.Rows) ([]saga.Lease, error) {
	var leases []saga.Lease
	for rows.Next() {
		var l saga.Lease
		var number int16
		if err := rows.Scan(&l.Shard.Type, &number, &l.Owner, &l.Epoch); err != nil {
			return nil, err
		}
		l.Shard.Number = int(number)
		leases = append(leases, l)
	}
	return leases, rows.Err()
}

func leaseColumns(leases []saga.Lease) (types []string, numbers []int16, epochs []int64) {
	shards := make([]saga.Shard, len(leases))
	epochs = make([]int64, len(leases))
	for i, l := range leases {
		shards[i], epochs[i] = l.Shard, l.Epoch
	}
	types, numbers = shardColumns(shards)
	return types, numbers, epochs
}

// typesOf are the types of a worker; nil would be NULL.
func typesOf(w saga.Worker) []string { return append([]string{}, w.Types...) }

// microseconds rounds up, so that what is more than nothing stays so.
func microseconds(d time.Duration) int64 { return int64((d + time.Microsecond - 1) / time.Microsecond) }
