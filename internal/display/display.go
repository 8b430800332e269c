// Package display writes values as the reports of tests show them.
package display

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxShown  = 240 // bytes after which nothing more of a value is begun
	maxString = 400 // bytes of one value in all
	maxDepth  = 6
)

// Value writes a value on one line, as Go source would have it: names without
// their package, fields that are zero left out, errors and values that print
// themselves by their text, maps in the order of their keys.
func Value(v any) string {
	if v == nil {
		return "nil"
	}
	p := printer{}
	p.write(Open(reflect.ValueOf(v)), 0)
	text := p.String()
	if len(text) > maxString {
		text = strings.ToValidUTF8(text[:maxString], "") + "…"
	}
	return text
}

type printer struct{ strings.Builder }

func (p *printer) write(v reflect.Value, depth int) {
	if p.Len() > maxShown || depth > maxDepth {
		p.cut()
		return
	}
	if p.text(v) {
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			p.WriteString("nil")
			return
		}
		p.write(Open(v.Elem()), depth)
	case reflect.Pointer:
		if v.IsNil() {
			p.WriteString("nil")
			return
		}
		p.WriteByte('&')
		p.write(Open(v.Elem()), depth+1)
	case reflect.Struct:
		p.WriteString(TypeName(v.Type()))
		p.list('{', '}', v.NumField(), func(i int) bool {
			f := v.Type().Field(i)
			if f.Name == "_" || v.Field(i).IsZero() {
				return false
			}
			p.WriteString(f.Name + ": ")
			p.write(Open(v.Field(i)), depth+1)
			return true
		})
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(p, "[]byte(%q)", v.Bytes())
			return
		}
		p.list('[', ']', v.Len(), func(i int) bool {
			p.write(Open(v.Index(i)), depth+1)
			return true
		})
	case reflect.Map:
		keys := SortedKeys(v)
		p.list('{', '}', len(keys), func(i int) bool {
			p.write(Open(keys[i]), depth+1)
			p.WriteString(": ")
			p.write(Open(v.MapIndex(keys[i])), depth+1)
			return true
		})
	case reflect.String:
		p.WriteString(strconv.Quote(v.String()))
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		p.WriteString(v.Type().String())
	default:
		fmt.Fprint(p, v.Interface())
	}
}

// text writes values that know how to: times, errors, enumerations, ids.
func (p *printer) text(v reflect.Value) (done bool) {
	if (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil() {
		return false
	}
	defer func() {
		if recover() != nil { // of a method that cannot stand this value
			done = false
		}
	}()
	switch x := v.Interface().(type) {
	case time.Time:
		p.WriteString(x.Format(time.RFC3339Nano))
	case error:
		p.WriteString("error(" + strconv.Quote(x.Error()) + ")")
	case fmt.Stringer:
		if t := v.Type(); exportsFields(t) {
			return false
		}
		p.WriteString(x.String())
	default:
		return false
	}
	return true
}

func (p *printer) list(first, last byte, n int, element func(i int) bool) {
	p.WriteByte(first)
	sep := ""
	for i := range n {
		if p.Len() > maxShown {
			p.cut()
			break
		}
		at := p.Len()
		p.WriteString(sep)
		if element(i) {
			sep = ", "
		} else {
			s := p.String()[:at]
			p.Reset()
			p.WriteString(s)
		}
	}
	p.WriteByte(last)
}

func (p *printer) cut() {
	if !strings.HasSuffix(p.String(), "…") {
		p.WriteString("…")
	}
}

// exportsFields tells whether a struct, or what a pointer leads to, shows more
// of itself by its fields than by its text.
func exportsFields(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if t.Field(i).IsExported() {
			return true
		}
	}
	return false
}

// TypeName is a type's name without its package, for types that have one.
func TypeName(t reflect.Type) string {
	switch {
	case t == nil:
		return "nil"
	case t.Name() != "":
		return t.Name()
	case t.Kind() == reflect.Pointer:
		return TypeName(t.Elem())
	case t.Kind() == reflect.Struct:
		return "struct"
	}
	return t.String()
}

// SortedKeys gives a map's keys in an order that is the same in every run.
func SortedKeys(m reflect.Value) []reflect.Value {
	type entry struct {
		key  reflect.Value
		text string
	}
	var entries []entry
	for _, k := range m.MapKeys() {
		text := Value(k.Interface())
		if k.CanInt() {
			text = fmt.Sprintf("%020d", k.Int())
		}
		entries = append(entries, entry{k, text})
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.text, b.text) })
	keys := make([]reflect.Value, len(entries))
	for i, e := range entries {
		keys[i] = e.key
	}
	return keys
}

// Open gives v as a value that can be read and set, unexported fields too. What
// is not addressable is copied first. v must be free of such fields itself, or
// addressable.
func Open(v reflect.Value) reflect.Value {
	if !v.CanAddr() {
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		return c
	}
	return reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
}
