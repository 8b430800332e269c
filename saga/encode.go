package saga

import (
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The work of a record and the data of an entry are written by hand: they are made
// with every decision, and encoding/json takes three times as long for them, most
// of it for looking through JSON that was made before. What is written is what
// encoding/json writes, which a test holds it to; reading is left to it.

// jsonBuffer is JSON in the making. Its methods for fields leave out what is
// empty, as omitempty does.
type jsonBuffer struct {
	b     []byte
	first bool // nothing stands in the object yet
}

// buffers are those that are at hand.
var buffers = sync.Pool{New: func() any { return &jsonBuffer{b: make([]byte, 0, 1024)} }}

// encode is what write writes.
func encode(write func(*jsonBuffer)) []byte {
	j := buffers.Get().(*jsonBuffer) //nolint:forcetypeassert // it has nothing else
	defer buffers.Put(j)
	j.b = j.b[:0]
	write(j)
	return slices.Clone(j.b)
}

func (j *jsonBuffer) open() {
	j.b = append(j.b, '{')
	j.first = true
}

func (j *jsonBuffer) close() {
	j.b = append(j.b, '}')
	j.first = false
}

// name begins a field. Names need no escapes.
func (j *jsonBuffer) name(name string) {
	if !j.first {
		j.b = append(j.b, ',')
	}
	j.first = false
	j.b = append(j.b, '"')
	j.b = append(j.b, name...)
	j.b = append(j.b, '"', ':')
}

func (j *jsonBuffer) text(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil { // of a string: it cannot be
				quoted = []byte(`""`)
			}
			j.b = append(j.b, quoted...)
			return
		}
	}
	j.b = append(j.b, '"')
	j.b = append(j.b, s...)
	j.b = append(j.b, '"')
}

func (j *jsonBuffer) stringField(name, s string) {
	if s != "" {
		j.name(name)
		j.text(s)
	}
}

func (j *jsonBuffer) intField(name string, n int64) {
	if n != 0 {
		j.name(name)
		j.b = strconv.AppendInt(j.b, n, 10)
	}
}

func (j *jsonBuffer) boolField(name string, is bool) {
	if is {
		j.name(name)
		j.b = append(j.b, "true"...)
	}
}

func (j *jsonBuffer) timeField(name string, t time.Time) {
	if !t.IsZero() {
		j.name(name)
		j.b = append(j.b, '"')
		j.b = t.AppendFormat(j.b, time.RFC3339Nano)
		j.b = append(j.b, '"')
	}
}

// rawField is JSON that encoding/json has made, or checked.
func (j *jsonBuffer) rawField(name string, raw []byte) {
	if len(raw) > 0 {
		j.name(name)
		j.b = append(j.b, raw...)
	}
}

func listField[T any](j *jsonBuffer, name string, list []T, each func(*T)) {
	if len(list) == 0 {
		return
	}
	j.name(name)
	j.b = append(j.b, '[')
	for i := range list {
		if i > 0 {
			j.b = append(j.b, ',')
		}
		each(&list[i])
	}
	j.b = append(j.b, ']')
}

// otherField is left to encoding/json.
func (j *jsonBuffer) otherField(name string, v any) {
	raw, err := json.Marshal(v)
	if err != nil { // of numbers and strings: it cannot be
		raw = []byte("null")
	}
	j.rawField(name, raw)
}

func (j *jsonBuffer) string(s *string) { j.text(*s) }

func (j *jsonBuffer) named(n *named) {
	j.open()
	j.name("name")
	j.text(n.Name)
	j.rawField("data", n.Data)
	j.close()
}

func (j *jsonBuffer) namedField(name string, n *named) {
	if n != nil {
		j.name(name)
		j.named(n)
	}
}

func (j *jsonBuffer) meta(name string, m *meta) {
	if m != nil {
		j.otherField(name, m)
	}
}

func (j *jsonBuffer) origin(o *origin) {
	if o != nil {
		j.otherField("parent", o)
	}
}

func (j *jsonBuffer) call(c *call) {
	j.open()
	j.name("id")
	j.text(c.ID)
	j.name("request")
	j.text(c.Request)
	j.rawField("data", c.Data)
	j.stringField("key", c.Key)
	j.intField("attempts", int64(c.Attempts))
	j.timeField("next", c.Next)
	j.intField("timeout", int64(c.Timeout))
	if c.Retry != nil {
		j.otherField("retry", c.Retry)
	}
	j.stringField("error", c.Error)
	j.boolField("later", c.Later)
	j.stringField("child", c.Child)
	j.stringField("cancels", c.Cancels)
	j.close()
}

func (j *jsonBuffer) timer(t *timer) {
	j.open()
	j.stringField("key", t.Key)
	j.timeField("at", t.At)
	j.namedField("action", &t.Action)
	j.close()
}

// encodeWork is w as encoding/json writes it.
func encodeWork(w *work) []byte { return encode(func(j *jsonBuffer) { j.work(w) }) }

func (j *jsonBuffer) work(w *work) {
	j.open()
	listField(j, "pending", w.Pending, j.call)
	listField(j, "undo", w.Undo, j.call)
	listField(j, "given", w.Given, j.call)
	listField(j, "timers", w.Timers, j.timer)
	listField(j, "seen", w.Seen, j.string)
	if w.Parked != nil {
		j.name("parked")
		j.input(w.Parked)
	}
	listField(j, "results", w.Results, j.input)
	j.stringField("was", string(w.Was))
	j.stringField("wasReason", w.WasReason)
	j.boolField("pivoted", w.Pivoted)
	j.boolField("ending", w.Ending)
	j.stringField("trace", w.Trace)
	j.meta("meta", w.Meta)
	j.origin(w.Parent)
	j.stringField("told", string(w.Told))
	j.boolField("owes", w.Owes)
	j.close()
}

func (j *jsonBuffer) input(in *input) {
	j.open()
	j.name("kind")
	j.text(string(in.Kind))
	j.namedField("action", in.Action)
	j.stringField("message", in.Message)
	j.stringField("effect", in.Effect)
	j.rawField("value", in.Value)
	if in.Failure != nil {
		j.otherField("failure", in.Failure)
	}
	j.boolField("later", in.Later)
	j.boolField("stale", in.Stale)
	j.stringField("key", in.Key)
	j.timeField("at", in.At)
	j.stringField("reason", in.Reason)
	j.stringField("actor", in.Actor)
	j.meta("meta", in.Meta)
	j.stringField("token", in.Token)
	j.origin(in.Parent)
	if in.Child != nil {
		j.otherField("child", in.Child)
	}
	j.close()
}

// encodeTold is t as encoding/json writes it.
func encodeTold(t *told) []byte { return encode(func(j *jsonBuffer) { j.told(t) }) }

func (j *jsonBuffer) told(t *told) {
	j.open()
	if t.Input != nil {
		j.name("input")
		j.input(t.Input)
	}
	j.name("status")
	j.text(string(t.Status))
	j.namedField("action", t.Action)
	j.boolField("late", t.Late)
	listField(j, "issued", t.Issued, j.string)
	listField(j, "notes", t.Notes, j.string)
	j.stringField("reason", t.Reason)
	j.stringField("state", t.State)
	if t.Asked != 0 {
		j.name("asked")
		j.b = strconv.AppendUint(j.b, uint64(t.Asked), 10)
	}
	j.intField("schema", int64(t.Schema))
	j.rawField("upcast", t.Upcast)
	j.close()
}
