package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The JSON form. Pending lists every command that has a place, in the order of
// arrival.
type (
	document struct {
		Phase       string          `json:"phase"`
		Key         json.RawMessage `json:"key,omitempty"`
		LoadedAt    json.RawMessage `json:"loadedAt,omitempty"`
		Invalidated bool            `json:"invalidated,omitempty"`
		Pending     []pending       `json:"pending,omitempty"`
	}
	pending struct {
		Key      json.RawMessage `json:"key"`
		Command  json.RawMessage `json:"command"`
		Released bool            `json:"released,omitempty"`
	}
)

// MarshalJSON encodes the workflow with its phase, its key, the time of loading
// and the commands that have a place:
//
//	{"phase":"idle"}
//	{"phase":"loading","key":"A","pending":[{"key":"A","command":…},{"key":"B","command":…}]}
//	{"phase":"ready","key":"A","loadedAt":"2026-01-02T15:04:05Z"}
//
// A command that was handed out has "released":true, a load whose data may be
// out of date "invalidated":true.
func (w Workflow[K, C]) MarshalJSON() ([]byte, error) {
	doc := document{Phase: w.phase.String(), Invalidated: w.invalidated}
	var err error
	if w.phase != Idle {
		if doc.Key, err = encode("key", w.key); err != nil {
			return nil, err
		}
	}
	if w.phase == Ready {
		if doc.LoadedAt, err = encode("loadedAt", w.loadedAt); err != nil {
			return nil, err
		}
	}
	for i, p := range w.line.places {
		key, err := encode(fmt.Sprintf("pending[%d].key", i), p.key)
		if err != nil {
			return nil, err
		}
		command, err := encode(fmt.Sprintf("pending[%d].command", i), p.command)
		if err != nil {
			return nil, err
		}
		doc.Pending = append(doc.Pending, pending{key, command, w.line.isReleased(i)})
	}
	return json.Marshal(doc)
}

// UnmarshalJSON decodes what MarshalJSON makes and refuses everything else: a
// phase that does not exist, a field that is missing, not known, given twice or
// out of place in its phase. The error names the field and its value, and w
// stays as it was. As is usual, null changes nothing.
//
// Keys and commands are decoded by [json.Unmarshal], as leniently as it does, so
// that a command that has lost a field can still be restored.
func (w *Workflow[K, C]) UnmarshalJSON(data []byte) error {
	// Called by hand, data may be anything; what follows relies on valid JSON.
	var valid json.RawMessage
	if err := json.Unmarshal(data, &valid); err != nil {
		return fmt.Errorf("decode workflow: %w", err)
	}
	if string(valid) == "null" {
		return nil
	}
	decoded, err := decodeWorkflow[K, C](valid)
	if err != nil {
		return fmt.Errorf("decode workflow: %w", err)
	}
	*w = decoded
	return nil
}

func decodeWorkflow[K comparable, C any](data []byte) (w Workflow[K, C], err error) {
	o, err := openObject("", data, "phase", "key", "loadedAt", "invalidated", "pending")
	if err != nil {
		return w, err
	}
	name, err := required[string](o, "phase")
	if err != nil {
		return w, err
	}
	phase := Phase(slices.Index([]string{Idle.String(), Loading.String(), Ready.String()}, name))
	if phase < 0 {
		return w, fmt.Errorf(`phase: unknown %q, want "idle", "loading" or "ready"`, name)
	}
	w.phase = phase

	for _, rule := range []struct {
		field   string
		allowed bool
	}{
		{"key", phase != Idle},
		{"loadedAt", phase == Ready},
		{"invalidated", phase == Loading},
	} {
		if raw, given := o.fields[rule.field]; given && !rule.allowed {
			return w, fmt.Errorf("%s: %s is out of place in phase %q", rule.field, excerpt(raw), phase)
		}
	}
	if phase != Idle {
		if w.key, err = required[K](o, "key"); err != nil {
			return w, err
		}
	}
	if phase == Ready {
		at, err := required[time.Time](o, "loadedAt")
		if err != nil {
			return w, err
		}
		w.loadedAt = at.UTC()
	}
	if w.invalidated, err = optional[bool](o, "invalidated"); err != nil {
		return w, err
	}
	list, err := optional[[]json.RawMessage](o, "pending")
	if err != nil {
		return w, err
	}
	for i, raw := range list {
		path := fmt.Sprintf("pending[%d]", i)
		key, command, released, err := decodePending[K, C](path, raw)
		if err != nil {
			return w, err
		}
		if !released && phase != Loading {
			return w, fmt.Errorf("%s: %s waits in phase %q, want it released or the phase %q", path, excerpt(raw), phase, Loading)
		}
		w.line.places = append(w.line.places, place[K, C]{key: key, command: command})
		w.line.released = append(w.line.released, released)
	}
	w.line.trim()
	return w, nil
}

func decodePending[K comparable, C any](path string, data []byte) (key K, command C, released bool, err error) {
	o, err := openObject(path, data, "key", "command", "released")
	if err != nil {
		return key, command, false, err
	}
	if key, err = required[K](o, "key"); err != nil {
		return key, command, false, err
	}
	if command, err = required[C](o, "command"); err != nil {
		return key, command, false, err
	}
	released, err = optional[bool](o, "released")
	return key, command, released, err
}

// object is a JSON object at a path of the document. encoding/json alone would
// take names in any case, take the last of two values and not name the path.
type object struct {
	path   string
	fields map[string]json.RawMessage
}

// openObject reads valid JSON.
func openObject(path string, data []byte, known ...string) (object, error) {
	o := object{path: path, fields: make(map[string]json.RawMessage, len(known))}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		if path != "" {
			path += ": "
		}
		return o, fmt.Errorf("%s%s, want an object", path, excerpt(data))
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return o, err
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return o, err
		}
		if !slices.Contains(known, name) {
			return o, fmt.Errorf("%s: unknown field with value %s, want one of %s", o.at(name), excerpt(value), strings.Join(known, ", "))
		}
		if first, given := o.fields[name]; given {
			return o, fmt.Errorf("%s: given twice, %s and %s", o.at(name), excerpt(first), excerpt(value))
		}
		o.fields[name] = value
	}
	return o, nil
}

func (o object) at(field string) string {
	if o.path == "" {
		return field
	}
	return o.path + "." + field
}

func required[T any](o object, field string) (T, error) {
	if _, given := o.fields[field]; !given {
		var none T
		return none, fmt.Errorf("%s: missing", o.at(field))
	}
	return optional[T](o, field)
}

// optional returns the zero value for a field that is not given.
func optional[T any](o object, field string) (value T, err error) {
	raw, given := o.fields[field]
	if !given {
		return value, nil
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return value, fmt.Errorf("%s: %s: %w", o.at(field), excerpt(raw), err)
	}
	if string(raw) == "null" {
		// Unmarshal leaves most types as they are, which would invent a value.
		if again, err := json.Marshal(value); err != nil || string(again) != "null" {
			return value, fmt.Errorf("%s: null, want a value", o.at(field))
		}
	}
	return value, nil
}

func encode(path string, value any) (json.RawMessage, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode workflow: %s: %w", path, err)
	}
	return raw, nil
}

// excerpt keeps error messages readable whatever is in the document.
func excerpt(raw []byte) string {
	const most = 80
	if len(raw) <= most {
		return string(raw)
	}
	return strings.ToValidUTF8(string(raw[:most]), "") + "…"
}
