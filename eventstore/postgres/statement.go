package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed57833328/rondo/eventstore"
)

// Statements of appends: what goes to the functions of migrations/, and what
// comes back.

const appendOneSQL = `SELECT * FROM rondo.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`

const appendManySQL = `SELECT * FROM rondo.append_many($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
	$18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)`

// Expected versions, as the functions have them.
const (
	expectAny    = -1
	expectExists = -2
)

// Verdicts, as append_many has them.
const (
	accepted = iota
	refusedDuplicate
	refusedClaim
	refusedConflict
)

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// appendOne commits an append of one event in one round trip.
func appendOne(ctx context.Context, db querier, r *request) ([]verdict, error) {
	w := &r.writes[0]
	e := &w.Events[0]
	labels, err := encodeLabels(e.Meta.Labels)
	if err != nil {
		return nil, err
	}
	rows, err := db.Query(ctx, appendOneSQL,
		r.tenant, w.Stream, encodeExpected(w.Expected), encodeID(e.ID), e.Type, int16(e.Schema), encodeData(e.Data),
		encodeID(e.Meta.CorrelationID), encodeID(e.Meta.CausationID), encodeText(e.Meta.Actor), encodeText(e.Meta.TraceParent),
		encodeText(e.Meta.Subject), labels)
	if err != nil {
		return nil, classify(err, false)
	}
	var (
		ok       pgtype.Bool
		version  int64
		position pgtype.Int8
		at       pgtype.Timestamptz
	)
	answered := rows.Next()
	if answered {
		err = rows.Scan(&ok, &version, &position, &at)
	}
	rows.Close()
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return nil, classify(err, answered)
	}
	if !ok.Valid {
		return []verdict{{err: &eventstore.DuplicateEventError{Stream: w.Stream, ID: e.ID}}}, nil
	}
	if !ok.Bool {
		return []verdict{{err: &eventstore.ConflictError{Stream: w.Stream, Expected: w.Expected, Actual: eventstore.Version(version)}}}, nil
	}
	return []verdict{{appended: []eventstore.Appended{
		r.record(w, eventstore.Version(version), []int64{position.Int64}, at.Time),
	}}}, nil
}

// appendMany commits appends in one round trip and one transaction: a call of the
// function for each tenant, one after the other.
func appendMany(ctx context.Context, db querier, batch []*request, options manyOptions) ([]verdict, error) {
	calls, err := newCalls(batch)
	if err != nil {
		return nil, err
	}
	verdicts := make([]verdict, len(batch))
	if len(calls) == 1 {
		rows, err := db.Query(ctx, appendManySQL, calls[0].args(options)...)
		if err != nil {
			return nil, classify(err, false)
		}
		return verdicts, calls[0].read(rows, verdicts)
	}
	var pipeline pgx.Batch
	for _, c := range calls {
		pipeline.Queue(appendManySQL, c.args(options)...)
	}
	results := db.SendBatch(ctx, &pipeline)
	for i, c := range calls {
		rows, err := results.Query()
		if err != nil {
			// What was asked before has been answered, and is undone.
			err = classify(err, i == len(calls)-1)
		} else {
			err = c.read(rows, verdicts)
		}
		if err != nil {
			results.Close() //nolint:errcheck // the error that counts is the first
			return nil, err
		}
	}
	return verdicts, classify(results.Close(), true)
}

type manyOptions struct {
	careful bool // look for duplicates beforehand
	shared  bool // in a transaction of a user
}

// call is the appends of one tenant in a batch.
type call struct {
	tenant   string
	requests []*request
	indexes  []int // of the requests, in the batch

	sName []string

	wAppend   []int32
	wStream   []int32
	wExpected []int64
	wEvents   []int32
	writes    []*eventstore.Write // by write
	nth       []int32             // by write, that of its first event

	eWrite, eIndex, eNth []int32
	eStream              []string
	eID                  []pgtype.UUID
	eType                []string
	eSchema              []int16
	eData                [][]byte
	// Those below are nil if no event has one.
	eCorrelation, eCausation []pgtype.UUID
	eActor, eTrace, eSubject []pgtype.Text
	eLabels                  []pgtype.Text
	cAppend                  []int32
	cKey                     []string
	cHash, cResult           [][]byte
	cUntil                   []time.Time
	claims                   []*eventstore.Claim
	events                   []*eventstore.Event // in the order of positions
}

// newCalls sorts a batch by tenants. They, and the streams of each, are in an
// order that is the same for all processes, so that they do not deadlock.
func newCalls(batch []*request) ([]*call, error) {
	var calls []*call
	for i, r := range batch {
		at, found := slices.BinarySearchFunc(calls, r.tenant, func(c *call, tenant string) int { return cmp.Compare(c.tenant, tenant) })
		if !found {
			calls = slices.Insert(calls, at, &call{tenant: r.tenant})
		}
		calls[at].requests = append(calls[at].requests, r)
		calls[at].indexes = append(calls[at].indexes, i)
	}
	for _, c := range calls {
		if err := c.build(); err != nil {
			return nil, err
		}
	}
	return calls, nil
}

func (c *call) build() error {
	streams := map[string]int32{}
	var nth int32
	for i, r := range c.requests {
		for j := range r.writes {
			w := &r.writes[j]
			if w.Claim != nil {
				c.cAppend = append(c.cAppend, int32(i+1))
				c.cKey = append(c.cKey, w.Claim.Key)
				c.cHash = append(c.cHash, encodeData(w.Claim.Hash))
				c.cResult = append(c.cResult, encodeData(w.Claim.Result))
				c.cUntil = append(c.cUntil, encodeTime(w.Claim.Until))
				c.claims = append(c.claims, w.Claim)
			}
			if len(w.Events) == 0 {
				continue
			}
			slot, known := streams[w.Stream]
			if !known {
				c.sName = append(c.sName, w.Stream)
				slot = int32(len(c.sName))
				streams[w.Stream] = slot
			}
			c.wAppend = append(c.wAppend, int32(i+1))
			c.wStream = append(c.wStream, slot)
			c.wExpected = append(c.wExpected, encodeExpected(w.Expected))
			c.wEvents = append(c.wEvents, int32(len(w.Events)))
			c.writes = append(c.writes, w)
			c.nth = append(c.nth, nth)
			nth += int32(len(w.Events))
			for k := range w.Events {
				c.events = append(c.events, &w.Events[k])
			}
		}
	}
	order := make([]int, len(c.writes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(c.writes[a].Stream, c.writes[b].Stream) })
	return c.encodeEvents(order, int(nth))
}

// encodeEvents fills what is by event, with the writes in that order.
func (c *call) encodeEvents(order []int, n int) error {
	c.eWrite, c.eIndex, c.eNth = make([]int32, 0, n), make([]int32, 0, n), make([]int32, 0, n)
	c.eStream, c.eType = make([]string, 0, n), make([]string, 0, n)
	c.eID, c.eSchema, c.eData = make([]pgtype.UUID, 0, n), make([]int16, 0, n), make([][]byte, 0, n)
	for _, write := range order {
		w := c.writes[write]
		for k := range w.Events {
			e := &w.Events[k]
			i := len(c.eWrite)
			c.eWrite = append(c.eWrite, int32(write+1))
			c.eIndex = append(c.eIndex, int32(k))
			c.eNth = append(c.eNth, c.nth[write]+int32(k)+1)
			c.eStream = append(c.eStream, w.Stream)
			c.eID = append(c.eID, pgtype.UUID{Bytes: e.ID, Valid: true})
			c.eType = append(c.eType, e.Type)
			c.eSchema = append(c.eSchema, int16(e.Schema))
			c.eData = append(c.eData, encodeData(e.Data))
			m := &e.Meta
			labels, err := encodeLabels(m.Labels)
			if err != nil {
				return err
			}
			setIf(&c.eCorrelation, n, i, encodeID(m.CorrelationID), m.CorrelationID != uuid.Nil)
			setIf(&c.eCausation, n, i, encodeID(m.CausationID), m.CausationID != uuid.Nil)
			setIf(&c.eActor, n, i, encodeText(m.Actor), m.Actor != "")
			setIf(&c.eTrace, n, i, encodeText(m.TraceParent), m.TraceParent != "")
			setIf(&c.eSubject, n, i, encodeText(m.Subject), m.Subject != "")
			setIf(&c.eLabels, n, i, labels, labels.Valid)
		}
	}
	return nil
}

// setIf sets an element of a slice that is not made before it has one.
func setIf[T any](s *[]T, n, i int, v T, there bool) {
	if !there {
		return
	}
	if *s == nil {
		*s = make([]T, n)
	}
	(*s)[i] = v
}

func (c *call) args(options manyOptions) []any {
	return []any{
		c.tenant, options.careful, options.shared, int32(len(c.requests)),
		c.sName,
		c.wAppend, c.wStream, c.wExpected, c.wEvents,
		c.eWrite, c.eIndex, c.eNth, c.eStream, c.eID, c.eType, c.eSchema, c.eData,
		c.eCorrelation, c.eCausation, c.eActor, c.eTrace, c.eSubject, c.eLabels,
		c.cAppend, c.cKey, c.cHash, c.cResult, c.cUntil,
	}
}

// read reads the answer, and sets the verdicts of its requests.
func (c *call) read(rows pgx.Rows, verdicts []verdict) error {
	var (
		firsts, positions []int64
		at                time.Time
		kinds, details    []int32
		actuals           []int64
		err               error
	)
	answered := rows.Next()
	if answered {
		err = rows.Scan(&firsts, &positions, &at, &kinds, &details, &actuals)
	}
	rows.Close()
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return classify(err, answered)
	}
	write := 0
	for i, r := range c.requests {
		v := &verdicts[c.indexes[i]]
		if len(kinds) > 0 && kinds[i] != accepted {
			v.err = c.refusal(kinds[i], details[i], actuals[i])
			write += r.streams()
			continue
		}
		v.appended = make([]eventstore.Appended, len(r.writes))
		for j := range r.writes {
			if len(r.writes[j].Events) == 0 {
				continue
			}
			v.appended[j] = r.record(&r.writes[j], eventstore.Version(firsts[write]), positions[c.nth[write]:], at)
			write++
		}
	}
	return nil
}

// refusal is the error of an append that was refused.
func (c *call) refusal(kind, detail int32, actual int64) error {
	switch kind {
	case refusedDuplicate:
		write := c.writeOf(detail - 1)
		return &eventstore.DuplicateEventError{Stream: c.writes[write].Stream, ID: c.events[detail-1].ID}
	case refusedClaim:
		return &takenError{key: c.claims[detail-1].Key}
	case refusedConflict:
		w := c.writes[detail-1]
		return &eventstore.ConflictError{Stream: w.Stream, Expected: w.Expected, Actual: eventstore.Version(actual)}
	}
	return fmt.Errorf("append: the database gave the verdict %d, which is none", kind)
}

// writeOf is the write that has the event which is the nth by position.
func (c *call) writeOf(nth int32) int {
	after, _ := slices.BinarySearch(c.nth, nth+1)
	return after - 1
}

// streams is how many of its writes have events.
func (r *request) streams() int {
	n := 0
	for i := range r.writes {
		if len(r.writes[i].Events) > 0 {
			n++
		}
	}
	return n
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
