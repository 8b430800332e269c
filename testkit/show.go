package testkit

import (
	"reflect"

	"github.com/seed57833328/rondo/internal/display"
)

// How values are looked into and shown, by the names that this package has for it.

func show(v any) string { return display.Value(v) }

func nameOf(t reflect.Type) string { return display.TypeName(t) }

func open(v reflect.Value) reflect.Value { return display.Open(v) }

func sortedKeys(m reflect.Value) []reflect.Value { return display.SortedKeys(m) }
