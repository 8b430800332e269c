// Package journal is the form of the journals that stores write and the testkit
// replays: JSON Lines, one line for each life of a store (its first state) and
// one for each action that it reduced.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/reducer"
)

// Format is the version of the form.
const Format = 1

// Line is one line.
type Line struct {
	// Journal is the format, on the first line of a store's life.
	Journal int    `json:"journal,omitempty"`
	Store   string `json:"store,omitempty"`
	// Key is that of a keyed store, as text.
	Key string `json:"key,omitempty"`

	// Seq is the number of the action in its store, 1 for the first.
	Seq    uint64    `json:"seq,omitempty"`
	Time   time.Time `json:"time,omitzero"`
	Parent uint64    `json:"parent,omitempty"` // the action that caused it
	Root   uint64    `json:"root,omitempty"`   // the first of its chain
	// Meta is what Env.Meta gave.
	Meta reducer.Meta `json:"meta,omitzero"`
	// Type is the Go type of the action, or of the state.
	Type   string          `json:"type,omitempty"`
	Action json.RawMessage `json:"action,omitempty"`
	// Errors are the texts of the action's errors, by the names of its fields.
	Errors map[string]string `json:"errors,omitempty"`
	// IDs is how many ids the reducer drew.
	IDs uint64 `json:"ids,omitempty"`
	// Effects are what the reducer returned, for reading, and their hash.
	Effects     string `json:"effects,omitempty"`
	EffectsHash Hash   `json:"effectsHash,omitempty"`
	// State is the whole state, and its hash.
	State     json.RawMessage `json:"state,omitempty"`
	StateHash Hash            `json:"stateHash,omitempty"`
	// Panic is what the reducer panicked with.
	Panic string `json:"panic,omitempty"`
	// Lossy says why the line does not hold all of its action or state.
	Lossy string `json:"lossy,omitempty"`
	// Cut says why the journal ends here.
	Cut string `json:"cut,omitempty"`
}

// Hash is written as 16 hexadecimal digits, since numbers of 64 bits do not
// survive in every reader of JSON. 0 is none.
type Hash uint64

// MarshalText writes the digits.
func (h Hash) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(h)), nil }

// UnmarshalText reads them.
func (h *Hash) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil {
		return fmt.Errorf("hash %q: want 16 hexadecimal digits", text)
	}
	*h = Hash(n)
	return nil
}

// IsZero tells that there is none.
func (h Hash) IsZero() bool { return h == 0 }

// HashOf is the hash of a value, 0 if it cannot be hashed.
func HashOf(v any) (h Hash) {
	defer func() {
		if recover() != nil {
			h = 0
		}
	}()
	return Hash(max(1, fingerprint.Of(v)))
}

// Effects are an effect's text and hash.
func Effects[A any](e effect.Effect[A]) (text string, hash Hash) {
	d := effect.Describe(e)
	if d.Kind == "none" {
		return "", 0
	}
	return d.String(), HashOf(d)
}

// Encode writes a value as JSON, its errors aside. lossy says why the value
// cannot be read back, if it cannot.
func Encode(v any) (data json.RawMessage, errs map[string]string, lossy string) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, nil, err.Error()
	}
	rv := reflect.ValueOf(v)
	if !rv.IsValid() {
		return data, nil, ""
	}
	for rv.Kind() == reflect.Pointer && !rv.IsNil() {
		rv = rv.Elem()
	}
	names := ErrorFields(rv.Type())
	if len(names) > 0 {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(data, &fields); err != nil {
			return data, nil, err.Error()
		}
		for _, name := range names {
			delete(fields, name)
			if err, _ := rv.FieldByName(name).Interface().(error); err != nil {
				if errs == nil {
					errs = map[string]string{}
				}
				errs[name] = err.Error()
			}
		}
		if data, err = json.Marshal(fields); err != nil {
			return nil, nil, err.Error()
		}
	}
	return data, errs, loss(rv, data, names)
}

// loss reads a value back and tells what has become of it.
func loss(v reflect.Value, data []byte, names []string) string {
	back := reflect.New(v.Type())
	if err := json.Unmarshal(data, back.Interface()); err != nil {
		return err.Error()
	}
	for _, name := range names {
		back.Elem().FieldByName(name).Set(v.FieldByName(name))
	}
	want, got := HashOf(v.Interface()), HashOf(back.Elem().Interface())
	if want != got {
		return fmt.Sprintf("%s does not survive JSON: it has fields that are not exported or not encoded", v.Type())
	}
	return ""
}

var errorType = reflect.TypeFor[error]()

// ErrorFields are the fields of a struct that are errors, which JSON cannot
// hold.
func ErrorFields(t reflect.Type) (names []string) {
	if t.Kind() != reflect.Struct || t.Implements(reflect.TypeFor[json.Marshaler]()) {
		return nil
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && !f.Anonymous && f.Type == errorType && f.Tag.Get("json") == "" {
			names = append(names, f.Name)
		}
	}
	return names
}

// Append writes a line.
func (l *Line) Append(buf []byte) ([]byte, error) {
	data, err := json.Marshal(l)
	if err != nil {
		return buf, err
	}
	return append(append(buf, data...), '\n'), nil
}

// Read calls f with each line and its number, until f returns an error. Of a
// last line that was cut off in the middle, as by the end of a process, torn is
// the number.
func Read(r io.Reader, f func(n int, l *Line) error) (torn int, err error) {
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return 0, err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			if last {
				return 0, nil
			}
			continue
		}
		var l Line
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&l); err != nil {
			if last {
				return n, nil
			}
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		if err := f(n, &l); err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		if last {
			return 0, nil
		}
	}
}

// TypeName is how a line names a type: with its package, as %T does.
func TypeName(v any) string { return strings.TrimPrefix(fmt.Sprintf("%T", v), "*") }
