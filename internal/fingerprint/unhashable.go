package fingerprint

import (
	"fmt"
	"reflect"
)

// An UnhashableError says which part of a type or of a value cannot be hashed.
// [For] returns it; [Of], [Type.Hash] and those with a renaming panic with it.
type UnhashableError struct {
	// Path leads from the type that was given to the part, as in
	// "State.Cache.mu". What an interface holds is ".(package.Type)". Where no
	// value has been met, an element is "[]" and the key of a map "[key]".
	// Pointers are not shown.
	Path string
	// Type is the type of the part.
	Type reflect.Type

	tangled bool // the type is fine, the value is not
}

// Error returns the path, the type and the reason.
func (e *UnhashableError) Error() string {
	reason := whyNot(e.Type)
	if e.tangled {
		reason = "too many ways lead through the cycles of its pointers"
	}
	return fmt.Sprintf("%s: %v cannot be hashed: %s", e.Path, e.Type, reason)
}

// whyNot says why t itself has no content to hash, or returns "".
func whyNot(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Func:
		return "functions cannot be compared"
	case reflect.Chan:
		return "a channel is equal to itself only"
	case reflect.UnsafePointer:
		return "the type of what it points to is not known"
	case reflect.Struct:
		switch t.PkgPath() {
		case "sync", "internal/sync":
			return "it is for goroutines to meet at, not data"
		case "sync/atomic":
			return "it changes under a reader, it is not data"
		}
	default:
	}
	return ""
}
