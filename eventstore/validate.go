package eventstore

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// maxHash is the greatest length of Claim.Hash, in bytes.
const maxHash = 64

// Prepare checks the writes of an append and returns them as they are to be
// written: events have ids, schema versions, and data of their own. Homes call
// it before anything else; what it returns shares nothing with writes that the
// caller could change but the claims.
func Prepare(writes []Write) ([]Write, error) {
	prepared, events := cloneWrites(writes)
	total := 0
	for i := range prepared {
		w := &prepared[i]
		if err := checkWrite(prepared, i); err != nil {
			return nil, err
		}
		if len(w.Events) == 0 {
			continue
		}
		if total += len(w.Events); total > MaxEvents {
			return nil, &InputError{"writes", "more than " + strconv.Itoa(MaxEvents) + " events", "fewer"}
		}
		n := len(w.Events)
		w.Events, events = events[:n:n], events[n:]
		for j := range w.Events {
			if err := prepareEvent(i, j, &w.Events[j]); err != nil {
				return nil, err
			}
		}
	}
	if err := checkRepeated(prepared, total); err != nil {
		return nil, err
	}
	return prepared, nil
}

// cloneWrites copies writes, and all their events one after the other. A single
// event, which is what most appends are of, costs one allocation.
func cloneWrites(writes []Write) ([]Write, []Event) {
	if len(writes) == 1 && len(writes[0].Events) == 1 {
		single := struct {
			write [1]Write
			event [1]Event
		}{[1]Write{writes[0]}, [1]Event{writes[0].Events[0]}}
		return single.write[:], single.event[:]
	}
	total := 0
	for i := range writes {
		total += len(writes[i].Events)
	}
	events := make([]Event, 0, min(total, MaxEvents))
	for i := range writes {
		if len(events)+len(writes[i].Events) > MaxEvents {
			break // refused before they are looked at
		}
		events = append(events, writes[i].Events...)
	}
	return slices.Clone(writes), events
}

// checkWrite checks a write but for its events.
func checkWrite(writes []Write, i int) error {
	w := &writes[i]
	if w.Claim != nil {
		if err := checkClaim(i, w.Claim); err != nil {
			return err
		}
	}
	if len(w.Events) == 0 {
		switch {
		case w.Claim == nil:
			return &InputError{writeField(i, "Events"), "empty", "an event, or a Claim"}
		case w.Stream != "":
			return &InputError{writeField(i, "Stream"), quote(w.Stream), "none, as the write has no events"}
		}
		return nil
	}
	if !isName(w.Stream, MaxStreamName) {
		return CheckStream(writeField(i, "Stream"), w.Stream)
	}
	if w.Expected.kind == unset {
		return &InputError{writeField(i, "Expected"), "not set", "Exactly, None, Exists or Any"}
	}
	if w.Expected.version < 0 {
		return &InputError{writeField(i, "Expected"), w.Expected.String(), "at least 0"}
	}
	return nil
}

// prepareEvent checks the jth event of the ith write and makes it complete.
func prepareEvent(i, j int, e *Event) error {
	if !isName(e.Type, MaxName) {
		return CheckName(eventField(i, j, "Type"), e.Type)
	}
	if e.Schema < 0 || e.Schema > maxSchema {
		return &InputError{eventField(i, j, "Schema"), strconv.Itoa(e.Schema), "0 to " + strconv.Itoa(maxSchema)}
	}
	if e.Meta.Subject != "" && !isName(e.Meta.Subject, MaxName) {
		return CheckName(eventField(i, j, "Meta.Subject"), e.Meta.Subject)
	}
	if bad := invalidMeta(&e.Meta); bad != "" {
		return &InputError{eventField(i, j, "Meta"), bad, "UTF-8 without a zero byte"}
	}
	e.Schema = max(e.Schema, 1)
	if e.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("draw an event id: %w", err)
		}
		e.ID = id
	}
	e.Data = slices.Clone(e.Data)
	e.Meta = e.Meta.clone()
	return nil
}

// checkRepeated refuses streams, keys and event ids that come twice.
func checkRepeated(writes []Write, events int) error {
	if len(writes) > 1 {
		streams, keys := make(map[string]bool, len(writes)), map[string]bool{}
		for i := range writes {
			w := &writes[i]
			if w.Claim != nil {
				if keys[w.Claim.Key] {
					return &InputError{writeField(i, "Claim.Key"), quote(w.Claim.Key), "one that no other write of the append has"}
				}
				keys[w.Claim.Key] = true
			}
			if len(w.Events) > 0 {
				if streams[w.Stream] {
					return &InputError{writeField(i, "Stream"), quote(w.Stream), "one that no other write of the append has"}
				}
				streams[w.Stream] = true
			}
		}
	}
	if events > 1 {
		ids := make(map[uuid.UUID]bool, events)
		for i := range writes {
			for j := range writes[i].Events {
				id := writes[i].Events[j].ID
				if ids[id] {
					return &InputError{eventField(i, j, "ID"), id.String(), "one that no other event of the append has"}
				}
				ids[id] = true
			}
		}
	}
	return nil
}

func writeField(i int, name string) string { return fmt.Sprintf("writes[%d].%s", i, name) }

func eventField(i, j int, name string) string {
	return writeField(i, fmt.Sprintf("Events[%d].%s", j, name))
}

func (m Meta) clone() Meta {
	if len(m.Labels) == 0 {
		m.Labels = nil
		return m
	}
	labels := make(map[string]string, len(m.Labels))
	for k, v := range m.Labels {
		labels[k] = v
	}
	m.Labels = labels
	return m
}

// IDs returns the ids of all events of the writes.
func IDs(writes []Write) []uuid.UUID {
	var ids []uuid.UUID
	for _, w := range writes {
		for _, e := range w.Events {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func invalidMeta(m *Meta) string {
	for _, s := range []string{m.Actor, m.TraceParent} {
		if !isText(s) {
			return quote(s)
		}
	}
	for k, v := range m.Labels {
		if !isText(k) || !isText(v) {
			return quote(k + ": " + v)
		}
	}
	return ""
}

// maxSchema is the greatest schema version: what fits into 2 bytes of a table.
const maxSchema = 32_767

func checkClaim(i int, c *Claim) error {
	if !isName(c.Key, MaxName) {
		return CheckName(writeField(i, "Claim.Key"), c.Key)
	}
	if len(c.Hash) > maxHash {
		return &InputError{writeField(i, "Claim.Hash"), fmt.Sprintf("%d bytes long", len(c.Hash)), fmt.Sprintf("at most %d", maxHash)}
	}
	if c.Until.IsZero() {
		return &InputError{writeField(i, "Claim.Until"), "zero", "when the key can be taken again"}
	}
	return nil
}

// CheckStream checks a stream's name; the error names the field.
func CheckStream(field, name string) error { return checkText(field, name, MaxStreamName) }

// CheckName checks a name other than a stream's; the error names the field.
func CheckName(field, name string) error { return checkText(field, name, MaxName) }

// CheckSnapshot checks a snapshot that is to be saved.
func CheckSnapshot(s *Snapshot) error {
	if err := CheckStream("Snapshot.Stream", s.Stream); err != nil {
		return err
	}
	if err := CheckName("Snapshot.Type", s.Type); err != nil {
		return err
	}
	if s.Version < 1 {
		return &InputError{"Snapshot.Version", strconv.FormatInt(int64(s.Version), 10), "at least 1"}
	}
	if s.Schema < 0 || s.Schema > maxSchema {
		return &InputError{"Snapshot.Schema", strconv.Itoa(s.Schema), "0 to " + strconv.Itoa(maxSchema)}
	}
	for i, subject := range s.Subjects {
		if err := CheckName(fmt.Sprintf("Snapshot.Subjects[%d]", i), subject); err != nil {
			return err
		}
	}
	return nil
}

func isName(s string, most int) bool { return s != "" && len(s) <= most && isText(s) }

func checkText(field, s string, most int) error {
	if isName(s, most) {
		return nil
	}
	want := fmt.Sprintf("1 to %d bytes of UTF-8 without a zero byte", most)
	switch {
	case s == "":
		return &InputError{field, `""`, want}
	case len(s) > most:
		return &InputError{field, fmt.Sprintf("%s (%d bytes)", quote(s), len(s)), want}
	}
	return &InputError{field, quote(s), want}
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// quote shows a value in an error, shortened.
func quote(s string) string {
	const most = 40
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(strings.ToValidUTF8(s[:most], "")) + "…"
}

// CheckFrom checks where a read begins.
func CheckFrom(from Version) error {
	if from < 0 {
		return &InputError{"from", strconv.FormatInt(int64(from), 10), "at least 0"}
	}
	return nil
}

// CheckAfter checks where a read of all begins.
func CheckAfter(after Position) error {
	if after < 0 {
		return &InputError{"after", strconv.FormatInt(int64(after), 10), "at least 0"}
	}
	return nil
}

// CheckCheckpoint checks how far a subscription is said to have come.
func CheckCheckpoint(p Position) error {
	if p < 0 {
		return &InputError{"checkpoint", strconv.FormatInt(int64(p), 10), "at least 0"}
	}
	return nil
}

// CheckTTL checks for how long a lease is wanted.
func CheckTTL(ttl time.Duration) error {
	if ttl <= 0 {
		return &InputError{"ttl", ttl.String(), "more than 0"}
	}
	return nil
}

// CheckLimit checks how many claims are to be forgotten at most.
func CheckLimit(limit int) error {
	if limit < 1 {
		return &InputError{"limit", strconv.Itoa(limit), "at least 1"}
	}
	return nil
}
