package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
	"github.com/seed57833328/rondo/saga"
)

const (
	replaceWorker = `INSERT OR REPLACE INTO rondo_saga_workers (id, types, draining, expires) VALUES (?, ?, ?, ?) RETURNING incarnation`
	updateWorker  = `UPDATE rondo_saga_workers SET types = ?, draining = ?, expires = ? WHERE id = ? AND incarnation = ?`
	selectWorker  = `SELECT 1 FROM rondo_saga_workers WHERE id = ? AND incarnation = ?`
	deleteWorker  = `DELETE FROM rondo_saga_workers WHERE id = ? AND incarnation = ?`
	selectWorkers = `SELECT id, incarnation, types, draining, expires FROM rondo_saga_workers ORDER BY id`
	// forgetWorkers forgets those that have been gone for long and own nothing.
	forgetWorkers = `DELETE FROM rondo_saga_workers WHERE expires < ? AND id NOT IN (SELECT owner FROM rondo_saga_leases)`

	inheritLeases = `UPDATE rondo_saga_leases SET epoch = epoch + 1,
		owner = CASE WHEN type IN (SELECT value FROM json_each(?)) THEN owner ELSE '' END WHERE owner = ?`
	selectLeases  = `SELECT type, shard, owner, epoch FROM rondo_saga_leases WHERE ?1 = '' OR type IN (SELECT value FROM json_each(?1)) ORDER BY type, shard`
	insertLease   = `INSERT INTO rondo_saga_leases (type, shard, owner, epoch) VALUES (?, ?, ?, 1) ON CONFLICT DO NOTHING`
	takeLease     = `UPDATE rondo_saga_leases SET owner = ?, epoch = epoch + 1 WHERE type = ? AND shard = ? AND epoch = ?`
	releaseLease  = `UPDATE rondo_saga_leases SET owner = '', epoch = epoch + 1 WHERE type = ? AND shard = ? AND epoch = ? AND owner = ?`
	releaseLeases = `UPDATE rondo_saga_leases SET owner = '', epoch = epoch + 1 WHERE owner = ?`

	upsertPause = `INSERT INTO rondo_saga_pauses (type, worker, paused, actor, reason, at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET worker = excluded.worker, paused = excluded.paused, actor = excluded.actor, reason = excluded.reason, at = excluded.at`
	selectPauses   = `SELECT 0, type, worker, paused, actor, reason, at FROM rondo_saga_pauses ORDER BY type`
	insertPauseLog = `INSERT INTO rondo_saga_pause_log (type, worker, paused, actor, reason, at) VALUES (?, ?, ?, ?, ?, ?)`
	selectPauseLog = `SELECT number, type, worker, paused, actor, reason, at FROM rondo_saga_pause_log
		WHERE (?1 = '' OR type = ?1) AND (?2 = 0 OR number < ?2) ORDER BY number DESC LIMIT ?3`
)

// forgottenAfter is how long a worker's lease must have run out before it is
// forgotten.
const forgottenAfter = 24 * time.Hour

// Join makes a new incarnation of a worker; see [saga.Leases].
func (s *Store) Join(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Worker, error) {
	types, err := s.enterWorker(ctx, w, eventstore.CheckTTL(ttl))
	if err != nil {
		return saga.Worker{}, err
	}
	err = s.file.Write(ctx, 0, func(writer *sqlitefile.Writer, now time.Time) (verdict, err error) {
		ctx, c := context.Background(), writer.Conn()
		if _, err := c.Exec(ctx, forgetWorkers, micro(now.Add(-forgottenAfter))); err != nil {
			return nil, err
		}
		if _, err := sqlitefile.First(ctx, c, func(row []driver.Value) error { return sqlitefile.Scan(row, &w.Incarnation) },
			replaceWorker, w.ID, types, flag(w.Draining), micro(now.Add(ttl))); err != nil {
			return nil, err
		}
		s.file.News()
		_, err = c.Exec(ctx, inheritLeases, types, w.ID)
		return nil, err
	})
	if err != nil {
		return saga.Worker{}, err
	}
	w.Types = slices.Clone(w.Types)
	return w, nil
}

// enterWorker checks a call of a worker, and returns its types as the file has
// them.
func (s *Store) enterWorker(ctx context.Context, w saga.Worker, others ...error) (types string, err error) {
	if err := cmp.Or(saga.CheckWorker(w), cmp.Or(others...), s.file.Enter(ctx)); err != nil {
		return "", err
	}
	return encodeList(w.Types)
}

// Beat says that a worker lives; see [saga.Leases].
func (s *Store) Beat(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Fleet, error) {
	types, err := s.enterWorker(ctx, w, eventstore.CheckTTL(ttl))
	if err != nil {
		return saga.Fleet{}, err
	}
	var fleet saga.Fleet
	err = s.file.Write(ctx, 0, func(writer *sqlitefile.Writer, now time.Time) (verdict, err error) {
		c := writer.Conn()
		lives, err := changes(c, updateWorker, types, flag(w.Draining), micro(now.Add(ttl)), w.ID, w.Incarnation)
		switch {
		case err != nil:
			return nil, err
		case !lives:
			return saga.ErrFenced, nil
		}
		fleet, err = loadFleet(c, types, micro(now))
		return nil, err
	})
	if err != nil {
		return saga.Fleet{}, err
	}
	return fleet, nil
}

// Look returns who runs sagas; see [saga.Leases].
func (s *Store) Look(ctx context.Context) (fleet saga.Fleet, err error) {
	if err := s.file.Enter(ctx); err != nil {
		return saga.Fleet{}, err
	}
	err = s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		fleet, err = loadFleet(c, "", micro(time.Now()))
		return err
	})
	if err != nil {
		return saga.Fleet{}, err
	}
	return fleet, nil
}

// loadFleet reads the fleet, with the leases of types, which are a JSON array, or of
// all if that is "".
func loadFleet(c *sqlitefile.Conn, types string, now int64) (fleet saga.Fleet, err error) {
	ctx := context.Background()
	if err := c.Query(ctx, selectWorkers, nil, func(row []driver.Value) (bool, error) {
		var m saga.Member
		var known string
		var draining, expires int64
		if err := sqlitefile.Scan(row, &m.ID, &m.Incarnation, &known, &draining, &expires); err != nil {
			return false, err
		}
		if err := json.Unmarshal([]byte(known), &m.Types); err != nil {
			return false, fmt.Errorf("worker %q: column types: %w", m.ID, err)
		}
		m.Draining, m.Live = draining != 0, expires > now
		fleet.Members = append(fleet.Members, m)
		return true, nil
	}); err != nil {
		return fleet, err
	}
	if err := c.Query(ctx, selectLeases, []any{types}, func(row []driver.Value) (bool, error) {
		var l saga.Lease
		var number int64
		err := sqlitefile.Scan(row, &l.Shard.Type, &number, &l.Owner, &l.Epoch)
		l.Shard.Number = int(number)
		fleet.Leases = append(fleet.Leases, l)
		return true, err
	}); err != nil {
		return fleet, err
	}
	err = c.Query(ctx, selectPauses, nil, func(row []driver.Value) (bool, error) {
		e, err := scanPause(row)
		fleet.Pauses = append(fleet.Pauses, e.Pause)
		return true, err
	})
	return fleet, err
}

func scanPause(row []driver.Value) (e saga.PauseEntry, err error) {
	var paused, at int64
	err = sqlitefile.Scan(row, &e.Number, &e.Type, &e.Worker, &paused, &e.Actor, &e.Reason, &at)
	e.Paused, e.At = paused != 0, fromMicro(at)
	return e, err
}

// changes runs a statement, and tells whether it has changed anything.
func changes(c *sqlitefile.Conn, query string, args ...any) (bool, error) {
	result, err := c.Exec(context.Background(), query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Claim makes a worker the owner of leases; see [saga.Leases].
func (s *Store) Claim(ctx context.Context, w saga.Worker, leases []saga.Lease) ([]saga.Lease, error) {
	if _, err := s.enterWorker(ctx, w, saga.CheckLeases(leases)); err != nil {
		return nil, err
	}
	var claimed []saga.Lease
	err := s.file.Write(ctx, 0, func(writer *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		claimed = nil
		c := writer.Conn()
		lives, err := sqlitefile.First(context.Background(), c, nil, selectWorker, w.ID, w.Incarnation)
		switch {
		case err != nil:
			return nil, err
		case !lives:
			return saga.ErrFenced, nil
		}
		for _, l := range leases {
			shard := int64(l.Shard.Number)
			var done bool
			if l.Epoch == 0 {
				done, err = changes(c, insertLease, l.Shard.Type, shard, w.ID)
			} else {
				done, err = changes(c, takeLease, w.ID, l.Shard.Type, shard, l.Epoch)
			}
			if err != nil {
				return nil, err
			}
			if done {
				claimed = append(claimed, saga.Lease{Shard: l.Shard, Owner: w.ID, Epoch: l.Epoch + 1})
			}
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// Release gives leases up; see [saga.Leases].
func (s *Store) Release(ctx context.Context, w saga.Worker, leases []saga.Lease) error {
	if _, err := s.enterWorker(ctx, w, saga.CheckLeases(leases)); err != nil {
		return err
	}
	return s.file.Write(ctx, 0, func(writer *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		for _, l := range leases {
			if _, err := changes(writer.Conn(), releaseLease, l.Shard.Type, int64(l.Shard.Number), l.Epoch, w.ID); err != nil {
				return nil, err
			}
		}
		s.file.News()
		return nil, nil
	})
}

// Leave releases all that a worker owns; see [saga.Leases].
func (s *Store) Leave(ctx context.Context, w saga.Worker) error {
	if _, err := s.enterWorker(ctx, w); err != nil {
		return err
	}
	return s.file.Write(ctx, 0, func(writer *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		left, err := changes(writer.Conn(), deleteWorker, w.ID, w.Incarnation)
		if err != nil || !left { // it is another's
			return nil, err
		}
		s.file.News()
		_, err = changes(writer.Conn(), releaseLeases, w.ID)
		return nil, err
	})
}

// SetPaused keeps a pause or a resumption; see [saga.Leases].
func (s *Store) SetPaused(ctx context.Context, p saga.Pause) error {
	if err := cmp.Or(saga.CheckPause(p), s.file.Enter(ctx)); err != nil {
		return err
	}
	return s.file.Write(ctx, 0, func(writer *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		s.file.News()
		row := []any{p.Type, p.Worker, flag(p.Paused), p.Actor, p.Reason, micro(p.At)}
		if _, err := changes(writer.Conn(), upsertPause, row...); err != nil {
			return nil, err
		}
		_, err = changes(writer.Conn(), insertPauseLog, row...)
		return nil, err
	})
}

// PauseLog returns pauses and resumptions; see [saga.Leases].
func (s *Store) PauseLog(ctx context.Context, name string, before int64, limit int) ([]saga.PauseEntry, error) {
	if err := cmp.Or(saga.CheckLimit(limit), s.file.Enter(ctx)); err != nil {
		return nil, err
	}
	var found []saga.PauseEntry
	err := s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		return c.Query(ctx, selectPauseLog, []any{name, before, int64(limit)}, func(row []driver.Value) (bool, error) {
			e, err := scanPause(row)
			found = append(found, e)
			return err == nil, err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
