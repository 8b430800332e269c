package postgres

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
)

const anyWritesSQL = `SELECT * FROM rondo.append_many($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
	$18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)`

// Verdicts, as append_many has them.
const (
	accepted = iota
	refusedDuplicate
	refusedClaim
	refusedConflict
)

// anyWrites decides whatever appends of one tenant, by the function append_many;
// see there for what is sent.
type anyWrites struct {
	*share

	careful bool // look for duplicates beforehand
	shared  bool // in a transaction of a user

	sName []string

	wAppend   []int32
	wStream   []int32
	wExpected []int64
	wEvents   []int32
	writes    []*eventstore.Write // by write
	nth       []int32             // by write, that of its first event

	eWrite, eNth []int32
	events       eventColumns
	inOrder      []*eventstore.Event // of positions

	cAppend        []int32
	cKey           []string
	cHash, cResult [][]byte
	cUntil         []time.Time
	claims         []*eventstore.Claim
}

func newAnyWrites(s *share, careful, shared bool) *anyWrites {
	return &anyWrites{share: s, careful: careful, shared: shared}
}

func (c *anyWrites) build() error {
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
				c.inOrder = append(c.inOrder, &w.Events[k])
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
func (c *anyWrites) encodeEvents(order []int, n int) error {
	c.eWrite, c.eNth = make([]int32, 0, n), make([]int32, 0, n)
	c.events.init(n)
	for _, write := range order {
		w := c.writes[write]
		for k := range w.Events {
			c.eWrite = append(c.eWrite, int32(write+1))
			c.eNth = append(c.eNth, c.nth[write]+int32(k)+1)
			if err := c.events.add(w, k, int32(k)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *anyWrites) sql() string { return anyWritesSQL }

func (c *anyWrites) args() ([]any, error) {
	if err := c.build(); err != nil {
		return nil, err
	}
	e := &c.events
	return []any{
		c.tenant, c.careful, c.shared, int32(len(c.requests)),
		c.sName,
		c.wAppend, c.wStream, c.wExpected, c.wEvents,
		c.eWrite, e.index, c.eNth, e.stream, e.id, e.eventType, e.schema, e.data,
		e.correlation, e.causation, e.actor, e.trace, e.subject, e.labels,
		c.cAppend, c.cKey, c.cHash, c.cResult, c.cUntil,
	}, nil
}

func (c *anyWrites) read(rows pgx.Rows, verdicts []verdict) error {
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
	if err := ended(rows, answered, err); err != nil {
		return err
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
			v.appended[j] = r.record(&r.writes[j], firsts[write], positions[c.nth[write]:], at)
			write++
		}
	}
	return nil
}

// refusal is the error of an append that was refused.
func (c *anyWrites) refusal(kind, detail int32, actual int64) error {
	switch kind {
	case refusedDuplicate:
		write := c.writeOf(detail - 1)
		return &eventstore.DuplicateEventError{Stream: c.writes[write].Stream, ID: c.inOrder[detail-1].ID}
	case refusedClaim:
		return &takenError{key: c.claims[detail-1].Key}
	case refusedConflict:
		w := c.writes[detail-1]
		return &eventstore.ConflictError{Stream: w.Stream, Expected: w.Expected, Actual: eventstore.Version(actual)}
	}
	return fmt.Errorf("append: the database gave the verdict %d, which is none", kind)
}

// writeOf is the write that has the event which is the nth by position.
func (c *anyWrites) writeOf(nth int32) int {
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
