package eventstore

import "fmt"

// Expected is the version that a stream must have for an append: [Exactly],
// [None], [Exists] or [Any]. The zero value is none of them and is refused, so
// that no append goes unguarded by forgetting.
type Expected struct {
	kind    expectedKind
	version Version
}

type expectedKind uint8

const (
	unset expectedKind = iota
	exactly
	exists
	anyVersion
)

var (
	// None says that the stream must have no events. It equals Exactly(0).
	None = Expected{exactly, 0}
	// Exists says that the stream must have an event.
	Exists = Expected{exists, 0}
	// Any says that the stream may be at any version.
	Any = Expected{anyVersion, 0}
)

// Exactly says which version the stream must be at. A negative one is refused
// by Append.
func Exactly(v Version) Expected { return Expected{exactly, v} }

// Version is the version that is expected, if it is one.
func (e Expected) Version() (v Version, ok bool) { return e.version, e.kind == exactly }

// Allows tells whether a stream at that version is as expected.
func (e Expected) Allows(actual Version) bool {
	switch e.kind {
	case exactly:
		return actual == e.version
	case exists:
		return actual > 0
	case anyVersion:
		return true
	case unset:
	}
	return false
}

func (e Expected) String() string {
	switch e.kind {
	case exactly:
		if e.version == 0 {
			return "no events"
		}
		return fmt.Sprintf("version %d", e.version)
	case exists:
		return "an event"
	case anyVersion:
		return "any version"
	case unset:
	}
	return "nothing"
}
