package aggregate

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"

	"github.com/google/uuid"
)

// faithfulTypes remembers what faithful has found.
var faithfulTypes sync.Map

// faithful tells types whose values come out of JSON as they went in, but for
// bytes in strings that are no UTF-8, and share nothing when they are assigned.
func faithful(t reflect.Type) bool {
	if t == nil {
		return false
	}
	if known, ok := faithfulTypes.Load(t); ok {
		return known.(bool) //nolint:forcetypeassert // stored below
	}
	is := faithfulType(t)
	faithfulTypes.Store(t, is)
	return is
}

var (
	idType        = reflect.TypeFor[uuid.UUID]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
	textType      = reflect.TypeFor[encoding.TextMarshaler]()
)

func faithfulType(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	switch {
	case t == idType:
		return true
	case p.Implements(marshalerType) || p.Implements(textType):
		return false // it writes what it will
	}
	switch t.Kind() {
	case reflect.Array:
		return faithfulType(t.Elem())
	case reflect.Struct:
		seen := map[string]bool{}
		for i := range t.NumField() {
			f := t.Field(i)
			tag := f.Tag.Get("json")
			// Embedded fields may hide each other, by rules that are
			// encoding/json's to know.
			if !f.IsExported() || f.Anonymous || tag == "-" || !faithfulType(f.Type) {
				return false
			}
			name, _, _ := strings.Cut(tag, ",")
			if name == "" {
				name = f.Name
			}
			if seen[name] {
				return false // encoding/json leaves both out
			}
			seen[name] = true
		}
		return true
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return true
	default:
		return false
	}
}
