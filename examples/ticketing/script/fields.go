package script

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// fields are those of a JSON object that have not been asked for yet. The first
// error stays; what is asked for after it does not matter.
type fields struct {
	where string // what the object is, such as "sections[1]"; "" is the line
	raw   map[string]json.RawMessage
	err   error
}

// parseFields takes an object apart.
func parseFields(where string, text []byte) *fields {
	f := &fields{where: where, raw: map[string]json.RawMessage{}}
	f.err = f.parse(text)
	return f
}

func (f *fields) parse(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return f.notObject(text, err)
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			return f.notObject(text, err)
		}
		key, _ := name.(string) // the names of an object are strings
		if _, twice := f.raw[key]; twice {
			return fmt.Errorf("%s: given twice, want it once", f.path(quote(key)))
		}
		f.raw[key] = value
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return f.notObject(text, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%s: something follows the object, want one command a line", quote(string(text)))
	}
	return nil
}

func (f *fields) notObject(text []byte, err error) error {
	what := f.where
	if what == "" {
		what = "the line"
	}
	if err == nil || err == io.EOF { //nolint:errorlint // the decoder returns it as it is
		return fmt.Errorf("%s: %s, want a JSON object", what, quote(string(text)))
	}
	return fmt.Errorf("%s: %s, want a JSON object (%w)", what, quote(string(text)), err)
}

// path names a field.
func (f *fields) path(name string) string {
	if f.where == "" {
		return name
	}
	return f.where + "." + name
}

// fail notes an error about a field: its value and what would be accepted.
func (f *fields) fail(name, value, want string) {
	f.note(fmt.Errorf("%s: %s, want %s", f.path(name), quote(value), want))
}

// note keeps an error if it is the first.
func (f *fields) note(err error) {
	if f.err == nil {
		f.err = err
	}
}

// take returns a field's value and crosses it off.
func (f *fields) take(name, want string) (json.RawMessage, bool) {
	value, ok := f.raw[name]
	delete(f.raw, name)
	if !ok {
		f.note(fmt.Errorf("%s: missing, want %s", f.path(name), want))
	}
	return value, ok
}

func (f *fields) has(name string) bool {
	_, ok := f.raw[name]
	return ok
}

const nameWant = "a name of 1 to 64 printable characters"

// text takes a name.
func (f *fields) text(name string) string {
	value, ok := f.take(name, nameWant)
	if !ok {
		return ""
	}
	var s *string
	if json.Unmarshal(value, &s) != nil || s == nil || !isName(*s) {
		f.fail(name, string(value), nameWant)
		return ""
	}
	return *s
}

func isName(s string) bool {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	n := utf8.RuneCountInString(s)
	return 1 <= n && n <= 64 && !strings.ContainsFunc(s, unprintable)
}

// number takes a whole number from 1.
func (f *fields) number(name string, most int64) int64 {
	want := fmt.Sprintf("a whole number from 1 to %d", most)
	value, ok := f.take(name, want)
	if !ok {
		return 0
	}
	var n *int64
	if json.Unmarshal(value, &n) != nil || n == nil || *n < 1 || *n > most {
		f.fail(name, string(value), want)
		return 0
	}
	return *n
}

// duration takes a span of time.
func (f *fields) duration(name string, most time.Duration) time.Duration {
	want := fmt.Sprintf("a time such as \"90s\" or \"5m\", above 0 and up to %s", most)
	value, ok := f.take(name, want)
	if !ok {
		return 0
	}
	var s string
	d := time.Duration(0)
	err := json.Unmarshal(value, &s)
	if err == nil {
		d, err = time.ParseDuration(s)
	}
	if err != nil || d <= 0 || d > most {
		f.fail(name, string(value), want)
		return 0
	}
	return d
}

// choice takes one of a few words.
func (f *fields) choice(name string, words ...string) string {
	want := "one of " + strings.Join(words, ", ")
	value, ok := f.take(name, want)
	if !ok {
		return ""
	}
	var s string
	if json.Unmarshal(value, &s) != nil || !slices.Contains(words, s) {
		f.fail(name, string(value), want)
		return ""
	}
	return s
}

// list takes an array that is not empty.
func (f *fields) list(name, of string, most int) []json.RawMessage {
	want := fmt.Sprintf("a list of 1 to %d %s", most, of)
	value, ok := f.take(name, want)
	if !ok {
		return nil
	}
	var all []json.RawMessage
	if json.Unmarshal(value, &all) != nil || len(all) < 1 || len(all) > most {
		f.fail(name, string(value), want)
		return nil
	}
	return all
}

// rest is the error of what was asked for, or of a field that nobody asked for.
func (f *fields) rest(known ...string) error {
	if f.err != nil {
		return f.err
	}
	for _, name := range slices.Sorted(maps.Keys(f.raw)) {
		f.note(fmt.Errorf("%s: %s, unknown field, want %s", f.path(quote(name)), quote(string(f.raw[name])), strings.Join(known, ", ")))
	}
	return f.err
}

// quote shortens what is shown of a value, and lets no control characters
// through.
func quote(value string) string {
	const most = 60
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, strings.TrimSpace(value))
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
