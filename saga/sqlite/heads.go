package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/internal/sqlitefile"
	"github.com/seed57833328/rondo/saga"
)

// epochHolds is that no epoch is asked for, or the lease of s's shard has it.
const epochHolds = `(? = 0 OR EXISTS (SELECT 1 FROM rondo_saga_leases l WHERE l.type = s.type AND l.shard = s.shard AND l.epoch = ?))`

const (
	headColumns = `tenant, type, key, sequence, commit_id, status, ready, due, attempts, schema, reason, started, updated`

	insertHead = `INSERT INTO rondo_sagas (sequence, commit_id, status, ready, due, ended, attempts, schema, reason, started, updated, state, work, tenant, type, key, shard)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, s.type, ?, s.shard FROM (SELECT ? AS type, ? AS shard) s
		WHERE ` + epochHolds + ` ON CONFLICT DO NOTHING`
	updateHead = `UPDATE rondo_sagas AS s SET sequence = ?, commit_id = ?, status = ?, ready = ?, due = ?, ended = ?, attempts = ?, schema = ?, reason = ?,
		started = ?, updated = ?, state = ?, work = ?
		WHERE tenant = ? AND key = ? AND type = ? AND sequence = ? AND ` + epochHolds
	selectHead  = `SELECT ` + headColumns + `, state, work FROM rondo_sagas WHERE tenant = ? AND type = ? AND key = ?`
	selectEpoch = `SELECT epoch FROM rondo_saga_leases WHERE type = ? AND shard = ?`

	insertEntry = `INSERT INTO rondo_saga_history (saga, sequence, at, kind, data)
		SELECT number, ?, ?, ?, ? FROM rondo_sagas WHERE tenant = ? AND key = ? AND type = ?`
	selectHistory = `SELECT h.sequence, h.at, h.kind, h.data FROM rondo_sagas s JOIN rondo_saga_history h ON h.saga = s.number
		WHERE s.tenant = ? AND s.type = ? AND s.key = ? AND h.sequence > ? ORDER BY h.sequence LIMIT ?`

	selectEnded   = `SELECT number, tenant, type, key FROM rondo_sagas WHERE ended < ? ORDER BY ended LIMIT ?`
	deleteHead    = `DELETE FROM rondo_sagas WHERE number = ?`
	deleteHistory = `DELETE FROM rondo_saga_history WHERE saga = ?`
	deleteInbox   = `DELETE FROM rondo_saga_inbox WHERE tenant = ? AND type = ? AND key = ?`
	deleteEffects = `DELETE FROM rondo_saga_effects WHERE saga = ?`
)

// Load returns the record of a saga; see [saga.Heads].
func (s *Store) Load(ctx context.Context, id saga.ID) (r saga.Record, found bool, err error) {
	if err := cmp.Or(saga.CheckID("id", id), s.file.Enter(ctx)); err != nil {
		return saga.Record{}, false, err
	}
	err = s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		found, err = sqlitefile.First(ctx, c, func(row []driver.Value) error {
			return cmp.Or(scanHead(row, &r), sqlitefile.Scan(row[len(row)-2:], &r.State, &r.Work))
		}, selectHead, id.Tenant, id.Type, id.Key)
		return err
	})
	if err != nil || !found {
		return saga.Record{}, false, err
	}
	return r, true, nil
}

// scanHead sets r to a row of headColumns.
func scanHead(row []driver.Value, r *saga.Record) error {
	var commit []byte
	var status string
	var ready, attempts, schema, started, updated int64
	const dueColumn = 7
	if err := cmp.Or(
		sqlitefile.Scan(row[:dueColumn], &r.ID.Tenant, &r.ID.Type, &r.ID.Key, &r.Sequence, &commit, &status, &ready),
		sqlitefile.Scan(row[dueColumn+1:], &attempts, &schema, &r.Reason, &started, &updated),
	); err != nil {
		return err
	}
	if len(commit) != len(r.Commit) {
		return fmt.Errorf("saga %q: column commit_id has %d bytes, want %d", r.ID, len(commit), len(r.Commit))
	}
	r.Commit = uuid.UUID(commit)
	r.Status, r.Ready = saga.Status(status), ready != 0
	if due, ok := row[dueColumn].(int64); ok {
		r.Due = fromMicro(due)
	}
	r.Attempts, r.Schema = int(attempts), int(schema)
	r.Started, r.Updated = fromMicro(started), fromMicro(updated)
	return nil
}

// decision is a change with what its statements are told, made before its turn.
type decision struct {
	change      *saga.Change
	query       string // that of the head
	head, entry []any  // arguments
	posts       [][]any
}

func prepare(c *saga.Change) decision { return following(c.Record.Sequence-1, c) }

// following is prepare for a change that is made where the head is at that sequence.
func following(last int64, c *saga.Change) decision {
	r := &c.Record
	d := decision{change: c, query: updateHead, posts: messagesArgs(c)}
	var due, ended any
	if !r.Due.IsZero() {
		due = micro(r.Due)
	}
	if r.Status.Ended() {
		ended = micro(r.Updated)
	}
	if last == 0 {
		d.query, last = insertHead, int64(r.ID.Shard().Number)
	}
	// What stands twice is put into an interface once.
	var tenant, key, typ, epoch any = r.ID.Tenant, r.ID.Key, r.ID.Type, c.Epoch
	all := [...]any{
		r.Sequence, r.Commit[:], string(r.Status), flag(r.Ready), due, ended, int64(r.Attempts), int64(r.Schema), r.Reason,
		micro(r.Started), micro(r.Updated), blob(r.State), blob(r.Work), tenant, key, typ, last, epoch, epoch,
		c.Entry.Sequence, micro(c.Entry.At), c.Entry.Kind, blob(c.Entry.Data), tenant, key, typ,
	}
	d.head, d.entry = all[:headArgs], all[headArgs:]
	return d
}

// headArgs is how many arguments insertHead has, and updateHead.
const headArgs = 19

func messagesArgs(c *saga.Change) (posts [][]any) {
	for i := range c.Posts {
		posts = append(posts, messageArgs(&c.Posts[i]))
	}
	return posts
}

// Commit makes changes; see [saga.Heads]. Calls that wait at the same time are
// committed together.
func (s *Store) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	if err := cmp.Or(saga.CheckChanges(changes), s.file.Enter(ctx)); err != nil {
		return nil, err
	}
	verdicts := make([]saga.Verdict, len(changes))
	if len(changes) == 0 {
		return verdicts, nil
	}
	decisions, bytes := make([]decision, len(changes)), 0
	for i := range changes {
		decisions[i] = prepare(&changes[i])
		bytes += len(changes[i].Record.State) + len(changes[i].Record.Work) + len(changes[i].Entry.Data)
	}
	err := s.file.Write(ctx, bytes, func(w *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		for i := range decisions {
			if verdicts[i], err = s.decide(w.Conn(), &decisions[i]); err != nil {
				return nil, fmt.Errorf("commit %q: %w", changes[i].Record.ID, err)
			}
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// decide makes one change. Those of the same saga that come before it go with it.
func (s *Store) decide(c sqlitefile.Executor, d *decision, before ...saga.Change) (saga.Verdict, error) {
	ctx := context.Background()
	result, err := c.Exec(ctx, d.query, d.head...)
	if err != nil {
		return 0, err
	}
	switch changed, err := result.RowsAffected(); {
	case err != nil:
		return 0, err
	case changed == 0:
		return refusal(c, d.change)
	}
	for i := range before {
		one := prepare(&before[i])
		if err := s.note(c, &one); err != nil {
			return 0, err
		}
	}
	return saga.Committed, s.note(c, d)
}

// note makes what of a change is not the head.
func (s *Store) note(c sqlitefile.Executor, d *decision) error {
	ctx := context.Background()
	if _, err := c.Exec(ctx, insertEntry, d.entry...); err != nil {
		return err
	}
	for _, position := range d.change.Consumed {
		if _, err := c.Exec(ctx, deleteMessage, position); err != nil {
			return err
		}
	}
	for _, args := range d.posts {
		if err := s.keep(c, args); err != nil {
			return err
		}
	}
	return nil
}

// refusal is why a change was not made.
func refusal(c sqlitefile.Executor, change *saga.Change) (saga.Verdict, error) {
	if change.Epoch == 0 {
		return saga.Conflict, nil
	}
	var epoch int64
	shard := change.Record.ID.Shard()
	_, err := sqlitefile.First(context.Background(), c, func(row []driver.Value) error { return sqlitefile.Scan(row, &epoch) },
		selectEpoch, shard.Type, int64(shard.Number))
	switch {
	case err != nil:
		return 0, err
	case epoch != change.Epoch:
		return saga.Fenced, nil
	}
	return saga.Conflict, nil
}

// History returns what was decided; see [saga.Heads].
func (s *Store) History(ctx context.Context, id saga.ID, after int64, limit int) ([]saga.Entry, error) {
	if err := cmp.Or(saga.CheckID("id", id), saga.CheckLimit(limit), s.file.Enter(ctx)); err != nil {
		return nil, err
	}
	var entries []saga.Entry
	err := s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		return c.Query(ctx, selectHistory, []any{id.Tenant, id.Type, id.Key, after, int64(limit)}, func(row []driver.Value) (bool, error) {
			var e saga.Entry
			var at int64
			err := sqlitefile.Scan(row, &e.Sequence, &at, &e.Kind, &e.Data)
			e.At = fromMicro(at)
			entries = append(entries, e)
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// Purge forgets sagas that have ended, with what [HandleTx] has kept of their
// effects; see [saga.Heads].
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (purged int, err error) {
	if err := cmp.Or(saga.CheckLimit(limit), s.file.Enter(ctx)); err != nil {
		return 0, err
	}
	err = s.file.Write(ctx, 0, func(w *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		type head struct {
			number int64
			id     saga.ID
		}
		ctx, c := context.Background(), w.Conn()
		var heads []head
		err = c.Query(ctx, selectEnded, []any{microAfter(before), int64(limit)}, func(row []driver.Value) (bool, error) {
			var h head
			err := sqlitefile.Scan(row, &h.number, &h.id.Tenant, &h.id.Type, &h.id.Key)
			heads = append(heads, h)
			return true, err
		})
		for _, h := range heads {
			for _, d := range []struct {
				query string
				args  []any
			}{
				{deleteHead, []any{h.number}}, {deleteHistory, []any{h.number}},
				{deleteInbox, []any{h.id.Tenant, h.id.Type, h.id.Key}}, {deleteEffects, []any{h.id.String()}},
			} {
				if err == nil {
					_, err = c.Exec(ctx, d.query, d.args...)
				}
			}
		}
		purged = len(heads)
		return nil, err
	})
	if err != nil {
		return 0, err
	}
	return purged, nil
}
