package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/seed57833328/rondo/effect"
)

// Problems collects what is wrong with a command, in its method Validate() error:
//
//	func (c ReserveSeats) Validate() error {
//		var p command.Problems
//		p.Check(c.Section != "", "section", "is empty, want the name of a section")
//		p.Check(c.Seats > 0, "seats", "is %d, want at least 1", c.Seats)
//		return p.Err()
//	}
//
// The zero value is ready to use.
type Problems []Problem

// Check adds a problem of a field unless ok.
func (p *Problems) Check(ok bool, field, format string, args ...any) {
	if !ok {
		*p = append(*p, Problem{field, fmt.Sprintf(format, args...)})
	}
}

// Err is a *[ValidationError] with the problems, or nil if there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return &ValidationError{Problems: p}
}

// decode makes a command of its payload, which must have nothing that the
// command does not know.
func decode[C any](name string, payload []byte) (C, error) {
	var c C
	fail := func(field, format string, args ...any) (C, error) {
		return c, &ValidationError{name, []Problem{{field, fmt.Sprintf(format, args...)}}}
	}
	trimmed := bytes.TrimSpace(payload)
	switch {
	case len(trimmed) == 0:
		return fail("", "the payload is empty, want JSON")
	case string(trimmed) == "null":
		return fail("", "the payload is null, want a command")
	case !utf8.Valid(trimmed):
		return fail("", "the payload is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(trimmed))
	d.DisallowUnknownFields()
	err := protected(func() error { return d.Decode(&c) })
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			return fail("", "something follows after the JSON of the payload, at byte %d", d.InputOffset())
		}
		err = validate(name, &c)
		return c, err
	}
	var (
		syntax  *json.SyntaxError
		badType *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &syntax):
		return fail("", "the payload is not JSON, at byte %d: %v", syntax.Offset, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fail("", "the payload is not JSON: it ends in the middle")
	case errors.As(err, &badType) && badType.Field == "":
		return fail("", "the payload is a JSON %s, want %s", badType.Value, jsonName(badType))
	case errors.As(err, &badType):
		return fail(badType.Field, "is a JSON %s, want %s", badType.Value, jsonName(badType))
	}
	if field, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		if name, unquoteErr := strconv.Unquote(field); unquoteErr == nil {
			field = name
		}
		return fail(field, "is not a field of the command")
	}
	return fail("", "the payload cannot be decoded: %v", err)
}

// jsonName says what would have been accepted in the place of something of
// another type.
func jsonName(e *json.UnmarshalTypeError) string {
	if e.Type == nil {
		return "something else"
	}
	switch kind := e.Type.Kind().String(); {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number (" + kind + ")"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "bool":
		return "true or false"
	case kind == "string":
		return "a string"
	case kind == "slice", kind == "array":
		return "an array"
	case kind == "struct", kind == "map":
		return "an object"
	}
	return "a " + e.Type.String()
}

// validate asks a command whether it is valid.
func validate[C any](name string, c *C) error {
	v, ok := any(*c).(interface{ Validate() error })
	if !ok {
		v, ok = any(c).(interface{ Validate() error })
	}
	if !ok {
		return nil
	}
	err := protected(v.Validate)
	var (
		invalid  *ValidationError
		panicked *effect.PanicError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &panicked):
		return fmt.Errorf("validate command %s: %w", quote(name), err)
	case errors.As(err, &invalid):
		return &ValidationError{name, invalid.Problems}
	}
	return &ValidationError{name, []Problem{{"", err.Error()}}}
}

// protected makes a panic of the user's code an error.
func protected(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &effect.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}
