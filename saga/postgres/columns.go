package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed57833328/rondo/saga"
)

// The times that PostgreSQL has.
var (
	firstTime = time.Date(-4712, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(294275, 12, 31, 0, 0, 0, 0, time.UTC)
)

// encodeTime brings a time to what a column can have.
func encodeTime(t time.Time) time.Time {
	switch t = saga.Recordable(t); {
	case t.Before(firstTime):
		return firstTime
	case t.After(lastTime):
		return lastTime
	}
	return t
}

// encodeDue is NULL for never.
func encodeDue(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: encodeTime(t), Valid: !t.IsZero()}
}

// encodeEnded is when a saga that has ended was changed last.
func encodeEnded(r *saga.Record) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: encodeTime(r.Updated), Valid: r.Status.Ended()}
}

// text and timestamp are elements of a [pghome.Array].
func text(s string) pgtype.Text { return pgtype.Text{String: s, Valid: true} }

func timestamp(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: encodeTime(t), Valid: true}
}

// encodeBytes makes nil, which would be NULL, empty.
func encodeBytes(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// shardColumns are shards as arrays.
func shardColumns(shards []saga.Shard) (types []string, numbers []int16) {
	types, numbers = make([]string, len(shards)), make([]int16, len(shards))
	for i, s := range shards {
		types[i], numbers[i] = s.Type, int16(s.Number)
	}
	return types, numbers
}

// messageColumns are messages as arrays, each with the number of the change it
// belongs to.
type messageColumns struct {
	change                []int32
	tenant, sagaType, key []string
	shard                 []int16
	id, kind              []string
	body                  [][]byte
	at                    []time.Time
	consumedChange        []int32
	consumed              []int64
}

func (c *messageColumns) add(change int32, m *saga.Message) {
	c.change = append(c.change, change)
	c.tenant, c.sagaType, c.key = append(c.tenant, m.To.Tenant), append(c.sagaType, m.To.Type), append(c.key, m.To.Key)
	c.shard = append(c.shard, int16(m.To.Shard().Number))
	c.id, c.kind = append(c.id, m.ID), append(c.kind, string(m.Kind))
	c.body, c.at = append(c.body, encodeBytes(m.Body)), append(c.at, encodeTime(m.At))
}
