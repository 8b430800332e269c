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
	prepared := slices.Clone(writes)
	seenStreams := make(map[string]bool, len(writes))
	seenKeys := map[string]bool{}
	var seenIDs map[uuid.UUID]bool
	total := 0
	for i := range prepared {
		w := &prepared[i]
		field := func(name string) string { return fmt.Sprintf("writes[%d].%s", i, name) }
		if w.Claim != nil {
			if err := checkClaim(field("Claim"), w.Claim); err != nil {
				return nil, err
			}
			if seenKeys[w.Claim.Key] {
				return nil, &InputError{field("Claim.Key"), quote(w.Claim.Key), "one that no other write of the append has"}
			}
			seenKeys[w.Claim.Key] = true
		}
		if len(w.Events) == 0 {
			switch {
			case w.Claim == nil:
				return nil, &InputError{field("Events"), "empty", "an event, or a Claim"}
			case w.Stream != "":
				return nil, &InputError{field("Stream"), quote(w.Stream), "none, as the write has no events"}
			}
			continue
		}
		if err := CheckStream(field("Stream"), w.Stream); err != nil {
			return nil, err
		}
		if seenStreams[w.Stream] {
			return nil, &InputError{field("Stream"), quote(w.Stream), "one that no other write of the append has"}
		}
		seenStreams[w.Stream] = true
		if w.Expected.kind == unset {
			return nil, &InputError{field("Expected"), "not set", "Exactly, None, Exists or Any"}
		}
		if w.Expected.version < 0 {
			return nil, &InputError{field("Expected"), w.Expected.String(), "at least 0"}
		}
		if total += len(w.Events); total > MaxEvents {
			return nil, &InputError{"writes", "more than " + strconv.Itoa(MaxEvents) + " events", "fewer"}
		}
		if seenIDs == nil {
			seenIDs = make(map[uuid.UUID]bool, len(w.Events))
		}
		events, err := prepareEvents(field, w.Events, seenIDs)
		if err != nil {
			return nil, err
		}
		w.Events = events
	}
	return prepared, nil
}

func prepareEvents(field func(string) string, events []Event, seen map[uuid.UUID]bool) ([]Event, error) {
	prepared := slices.Clone(events)
	for j := range prepared {
		e := &prepared[j]
		at := func(name string) string { return field(fmt.Sprintf("Events[%d].%s", j, name)) }
		if err := CheckName(at("Type"), e.Type); err != nil {
			return nil, err
		}
		if e.Schema < 0 || e.Schema > maxSchema {
			return nil, &InputError{at("Schema"), strconv.Itoa(e.Schema), "0 to " + strconv.Itoa(maxSchema)}
		}
		if e.Meta.Subject != "" {
			if err := CheckName(at("Meta.Subject"), e.Meta.Subject); err != nil {
				return nil, err
			}
		}
		if bad := invalidMeta(&e.Meta); bad != "" {
			return nil, &InputError{at("Meta"), bad, "UTF-8 without a zero byte"}
		}
		e.Schema = max(e.Schema, 1)
		if e.ID == uuid.Nil {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, fmt.Errorf("draw an event id: %w", err)
			}
			e.ID = id
		}
		if seen[e.ID] {
			return nil, &InputError{at("ID"), e.ID.String(), "one that no other event of the append has"}
		}
		seen[e.ID] = true
		e.Data = slices.Clone(e.Data)
		e.Meta = e.Meta.clone()
	}
	return prepared, nil
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

func checkClaim(field string, c *Claim) error {
	if err := CheckName(field+".Key", c.Key); err != nil {
		return err
	}
	if len(c.Hash) > maxHash {
		return &InputError{field + ".Hash", fmt.Sprintf("%d bytes long", len(c.Hash)), fmt.Sprintf("at most %d", maxHash)}
	}
	if c.Until.IsZero() {
		return &InputError{field + ".Until", "zero", "when the key can be taken again"}
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

func checkText(field, s string, most int) error {
	want := fmt.Sprintf("1 to %d bytes of UTF-8 without a zero byte", most)
	switch {
	case s == "":
		return &InputError{field, `""`, want}
	case len(s) > most:
		return &InputError{field, fmt.Sprintf("%s (%d bytes)", quote(s), len(s)), want}
	case !isText(s):
		return &InputError{field, quote(s), want}
	}
	return nil
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
