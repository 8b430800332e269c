package postgres

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/pghome"
)

// Expected versions, as the statements have them.
const (
	expectAny    = -1
	expectExists = -2
)

// array is a parameter that is an array, and blob an element of one of bytea.
type (
	array[T any] = pghome.Array[T]
	blob         = pghome.Blob
)

// eventColumns are the columns of events, as arrays.
type eventColumns struct {
	n         int
	index     []int32
	stream    array[pgtype.Text]
	id        array[pgtype.UUID]
	eventType array[pgtype.Text]
	schema    []int16
	data      array[blob]
	// Those below are nil if no event has one.
	correlation, causation array[pgtype.UUID]
	actor, trace, subject  array[pgtype.Text]
	labels                 array[pgtype.Text]
}

// init makes room for n events.
func (c *eventColumns) init(n int) {
	c.n = n
	c.index, c.schema = make([]int32, 0, n), make([]int16, 0, n)
	c.stream, c.eventType = make(array[pgtype.Text], 0, n), make(array[pgtype.Text], 0, n)
	c.id, c.data = make(array[pgtype.UUID], 0, n), make(array[blob], 0, n)
}

// add adds the kth event of a write.
func (c *eventColumns) add(w *eventstore.Write, k int, index int32) error {
	e, i := &w.Events[k], len(c.id)
	c.index = append(c.index, index)
	c.stream = append(c.stream, pgtype.Text{String: w.Stream, Valid: true})
	c.id = append(c.id, pgtype.UUID{Bytes: e.ID, Valid: true})
	c.eventType = append(c.eventType, pgtype.Text{String: e.Type, Valid: true})
	c.schema = append(c.schema, int16(e.Schema))
	c.data = append(c.data, encodeData(e.Data))
	labels, err := encodeLabels(e.Meta.Labels)
	if err != nil {
		return err
	}
	m := &e.Meta
	setIf(&c.correlation, c.n, i, encodeID(m.CorrelationID), m.CorrelationID != uuid.Nil)
	setIf(&c.causation, c.n, i, encodeID(m.CausationID), m.CausationID != uuid.Nil)
	setIf(&c.actor, c.n, i, encodeText(m.Actor), m.Actor != "")
	setIf(&c.trace, c.n, i, encodeText(m.TraceParent), m.TraceParent != "")
	setIf(&c.subject, c.n, i, encodeText(m.Subject), m.Subject != "")
	setIf(&c.labels, c.n, i, labels, labels.Valid)
	return nil
}

// setIf sets an element of a slice that is not made before it has one.
func setIf[T any](s *array[T], n, i int, v T, there bool) {
	if !there {
		return
	}
	if *s == nil {
		*s = make([]T, n)
	}
	(*s)[i] = v
}

func encodeExpected(e eventstore.Expected) int64 {
	if v, ok := e.Version(); ok {
		return int64(v)
	}
	if e == eventstore.Exists {
		return expectExists
	}
	return expectAny
}

func encodeID(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != uuid.Nil} }

func encodeText(s string) pgtype.Text { return pgtype.Text{String: s, Valid: s != ""} }

// encodeData makes nil, which would be NULL, empty.
func encodeData(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

func encodeLabels(labels map[string]string) (pgtype.Text, error) {
	if len(labels) == 0 {
		return pgtype.Text{}, nil
	}
	text, err := json.Marshal(labels)
	return pgtype.Text{String: string(text), Valid: true}, err
}

// The times that PostgreSQL has.
var (
	firstTime = time.Date(-4712, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(294275, 12, 31, 0, 0, 0, 0, time.UTC)
)

// encodeTime brings a time to what a column can have.
func encodeTime(t time.Time) time.Time {
	switch {
	case t.Before(firstTime):
		return firstTime
	case t.After(lastTime):
		return lastTime
	}
	return t.UTC().Truncate(time.Microsecond)
}
