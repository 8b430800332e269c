// Package kept tells what of a Go type JSON does not keep. encoding/json leaves
// out unexported fields and says nothing of it, so that the loss is seen with the
// first restart; a type is better held to it when it is registered.
package kept

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// TagLoses tells Losses whether a field that is tagged json:"-" is a loss.
type TagLoses bool

const (
	// TagMeant takes the tag for the word of its author that the field is not to
	// be kept.
	TagMeant TagLoses = false
	// TagLost is for values that decisions go by: a field that is not kept is
	// another after a restart, whatever was meant.
	TagLost TagLoses = true
)

// Losses are the parts of values of type t that encoding/json leaves out, cannot
// write or cannot read again: each a sentence that begins with its path from
// root, as in "Order.Lines[].cents is not exported, …". There are none for types
// that write themselves, as JSON or as text: they know what they do.
func Losses(root string, t reflect.Type, tag TagLoses) []string {
	w := walk{tag: tag}
	w.look(root, t)
	return w.losses
}

type walk struct {
	tag    TagLoses
	path   []reflect.Type // the types that the one looked at is part of
	losses []string
}

func (w *walk) lose(format string, args ...any) {
	w.losses = append(w.losses, fmt.Sprintf(format, args...))
}

func (w *walk) look(at string, t reflect.Type) {
	if t == nil || slices.Contains(w.path, t) || writesItself(t) {
		return
	}
	w.path = append(w.path, t)
	defer func() { w.path = w.path[:len(w.path)-1] }()
	switch t.Kind() {
	case reflect.Pointer:
		w.look(at, t.Elem())
	case reflect.Map:
		if !isKey(t.Key()) {
			w.lose("%s has keys that are a %s, which JSON cannot keep: want strings, integers or an encoding.TextMarshaler", at, t.Key())
		}
		w.look(at+"[]", t.Elem())
	case reflect.Slice, reflect.Array:
		w.look(at+"[]", t.Elem())
	case reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		w.lose("%s is a %s, which JSON cannot keep", at, t)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			w.lose("%s is a %s, which cannot be read again: JSON does not say what is in it", at, t)
		}
	case reflect.Struct:
		for i := range t.NumField() {
			w.field(at, t.Field(i))
		}
	default:
	}
}

func (w *walk) field(of string, f reflect.StructField) {
	at := of + "." + f.Name
	switch {
	case f.Name == "_" || f.Type.Size() == 0: // there is nothing to keep
	case f.Tag.Get("json") == "-":
		if w.tag == TagLost {
			w.lose(`%s is tagged json:"-", so that it is not kept`, at)
		}
	case f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct: // whose fields are promoted
		w.look(at, f.Type)
	default:
		way := "export it, give the type MarshalJSON and UnmarshalJSON"
		if w.tag == TagMeant {
			way += ", or tag it `json:\"-\"` if it is not to be kept"
		}
		w.lose("%s is not exported, so that it is not kept: %s", at, way)
	}
}

// isKey tells whether encoding/json writes maps with keys of type t.
func isKey(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	default:
		return t.Kind() != reflect.Interface && t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
	}
}

func writesItself(t reflect.Type) bool {
	if t.Kind() == reflect.Interface {
		return false // what is in it may write itself, but is not found again
	}
	for _, how := range [...]reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if t.Implements(how) || reflect.PointerTo(t).Implements(how) {
			return true
		}
	}
	return false
}
