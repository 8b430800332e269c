package saga

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// Limits of names. Homes may count on them.
const (
	MaxTypeName  = 100 // bytes
	MaxKey       = 200
	MaxMessageID = 200
)

// CheckID checks the id of a saga; the error names the field. Homes call it.
func CheckID(field string, id ID) error {
	if id.Tenant != "" {
		if err := eventstore.CheckName(field+".Tenant", id.Tenant); err != nil {
			return err
		}
	}
	if !isType(id.Type) {
		return CheckType(field+".Type", id.Type)
	}
	if !isText(id.Key, MaxKey) {
		return checkText(field+".Key", id.Key, MaxKey)
	}
	return nil
}

// CheckType checks the name of a saga type; the error names the field.
func CheckType(field, name string) error {
	if !isType(name) {
		return inputError(field, quote(name), "1 to %d letters, digits, dots, dashes and underscores", MaxTypeName)
	}
	return nil
}

func isType(name string) bool {
	return name != "" && len(name) <= MaxTypeName && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}) < 0
}

// CheckChanges checks what is to be committed. Homes call it.
func CheckChanges(changes []Change) error {
	var seen map[ID]bool
	if len(changes) > 1 {
		seen = make(map[ID]bool, len(changes))
	}
	for i := range changes {
		c := &changes[i]
		if err := checkChange(i, c); err != nil {
			return err
		}
		if seen[c.Record.ID] {
			return inputError(fmt.Sprintf("changes[%d].Record.ID", i), quote(c.Record.ID.String()), "one that no other change of the commit has")
		}
		if seen != nil {
			seen[c.Record.ID] = true
		}
	}
	return nil
}

// CheckChain checks what is to be committed as decisions that follow one another.
// Homes that are [Transactional] call it.
func CheckChain(changes []Change) error {
	if len(changes) == 0 {
		return inputError("changes", "none", "at least one")
	}
	first := &changes[0]
	for i := range changes {
		c := &changes[i]
		if err := checkChange(i, c); err != nil {
			return err
		}
		field := func(name string) string { return fmt.Sprintf("changes[%d].%s", i, name) }
		switch want := first.Record.Sequence + int64(i); {
		case c.Record.ID != first.Record.ID:
			return inputError(field("Record.ID"), quote(c.Record.ID.String()), "that of the first, %q", first.Record.ID)
		case c.Record.Sequence != want:
			return inputError(field("Record.Sequence"), strconv.FormatInt(c.Record.Sequence, 10), "%d, which follows", want)
		case c.Epoch != first.Epoch:
			return inputError(field("Epoch"), strconv.FormatInt(c.Epoch, 10), "that of the first, %d", first.Epoch)
		}
	}
	return nil
}

func checkChange(i int, c *Change) error {
	field := func(name string) string { return fmt.Sprintf("changes[%d].%s", i, name) }
	if err := CheckID("Record.ID", c.Record.ID); err != nil {
		return CheckID(field("Record.ID"), c.Record.ID) // only now the field is named
	}
	switch {
	case c.Record.Sequence < 1:
		return inputError(field("Record.Sequence"), strconv.FormatInt(c.Record.Sequence, 10), "at least 1")
	case c.Record.Commit == uuid.Nil:
		return inputError(field("Record.Commit"), "zero", "an id of its own")
	case !known(c.Record.Status):
		return inputError(field("Record.Status"), quote(string(c.Record.Status)), "one of %v", Statuses())
	case c.Epoch < 0:
		return inputError(field("Epoch"), strconv.FormatInt(c.Epoch, 10), "at least 0")
	case c.Entry.Sequence != c.Record.Sequence:
		return inputError(field("Entry.Sequence"), strconv.FormatInt(c.Entry.Sequence, 10), "that of the record, %d", c.Record.Sequence)
	case c.Entry.Kind == "":
		return inputError(field("Entry.Kind"), `""`, "what was decided on")
	}
	for j := range c.Posts {
		if err := checkMessage(field(fmt.Sprintf("Posts[%d]", j)), &c.Posts[j]); err != nil {
			return err
		}
	}
	return nil
}

func known(s Status) bool {
	for _, k := range Statuses() {
		if s == k {
			return true
		}
	}
	return false
}

// CheckMessage checks what is to be posted. Homes call it.
func CheckMessage(m Message) error { return checkMessage("message", &m) }

func checkMessage(field string, m *Message) error {
	if err := CheckID(field+".To", m.To); err != nil {
		return err
	}
	if err := checkText(field+".ID", m.ID, MaxMessageID); err != nil {
		return err
	}
	switch m.Kind {
	case StartMessage, SignalMessage, CancelMessage, ReplyMessage, WakeMessage:
		return nil
	}
	return inputError(field+".Kind", quote(string(m.Kind)), "one of the kinds of messages")
}

// CheckWorker checks a worker. Homes call it.
func CheckWorker(w Worker) error {
	if err := eventstore.CheckName("worker.ID", w.ID); err != nil {
		return err
	}
	for i, t := range w.Types {
		if err := CheckType(fmt.Sprintf("worker.Types[%d]", i), t); err != nil {
			return err
		}
	}
	return nil
}

// CheckShards checks where to look. Homes call it.
func CheckShards(shards []Shard) error {
	for i, s := range shards {
		if err := CheckShard(fmt.Sprintf("shards[%d]", i), s); err != nil {
			return err
		}
	}
	return nil
}

// CheckShard checks one shard; the error names the field.
func CheckShard(field string, s Shard) error {
	if err := CheckType(field+".Type", s.Type); err != nil {
		return err
	}
	if s.Number < 0 || s.Number >= Shards {
		return inputError(field+".Number", strconv.Itoa(s.Number), "0 to %d", Shards-1)
	}
	return nil
}

// CheckLeases checks what is to be claimed or released. Homes call it.
func CheckLeases(leases []Lease) error {
	seen := make(map[Shard]bool, len(leases))
	for i, l := range leases {
		if err := CheckShard(fmt.Sprintf("leases[%d].Shard", i), l.Shard); err != nil {
			return err
		}
		if l.Epoch < 0 {
			return inputError(fmt.Sprintf("leases[%d].Epoch", i), strconv.FormatInt(l.Epoch, 10), "at least 0")
		}
		if seen[l.Shard] {
			return inputError(fmt.Sprintf("leases[%d].Shard", i), fmt.Sprint(l.Shard), "one that no other lease has")
		}
		seen[l.Shard] = true
	}
	return nil
}

// CheckQuery checks what is to be listed, and fills in the limit. Homes call it.
func CheckQuery(q *Query) error {
	for i, s := range q.Statuses {
		if !known(s) {
			return inputError(fmt.Sprintf("query.Statuses[%d]", i), quote(string(s)), "one of %v", Statuses())
		}
	}
	if q.Type != "" {
		if err := CheckType("query.Type", q.Type); err != nil {
			return err
		}
	}
	switch {
	case q.Limit < 0:
		return inputError("query.Limit", strconv.Itoa(q.Limit), "at least 0")
	case q.Attempts < 0:
		return inputError("query.Attempts", strconv.Itoa(q.Attempts), "at least 0")
	case q.Limit == 0:
		q.Limit = DefaultLimit
	}
	return CheckShards(q.Shards)
}

// CheckPause checks what is to be paused or goes on. Homes call it.
func CheckPause(p Pause) error {
	if p.Worker != "" {
		if err := checkText("pause.Worker", p.Worker, MaxKey); err != nil {
			return err
		}
	}
	return CheckType("pause.Type", p.Type)
}

// CheckLimit checks how much is wanted at most. Homes call it.
func CheckLimit(limit int) error {
	if limit < 1 {
		return inputError("limit", strconv.Itoa(limit), "at least 1")
	}
	return nil
}

// Recordable is t as homes keep it: in UTC, to the microsecond. What a runner
// writes is recordable already.
func Recordable(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func checkText(field, s string, most int) error {
	if !isText(s, most) {
		return inputError(field, quote(s), "1 to %d bytes of UTF-8 without a zero byte", most)
	}
	return nil
}

func isText(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

func inputError(field, value, want string, args ...any) error {
	return &eventstore.InputError{Field: field, Value: value, Want: fmt.Sprintf(want, args...)}
}

// quote shows a value in an error, shortened.
func quote(s string) string {
	const most = 40
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(strings.ToValidUTF8(s[:most], "")) + "…"
}
