package workflow

import (
	"reflect"
	"slices"
)

// line holds the commands that are accepted and neither processed, failed nor
// removed, in the order of arrival.
//
// Copies of a line, made by assignment, share memory and are independent all the
// same, in other goroutines too: what a copy can see is replaced or cut, never
// written to or added to in place.
//
// Equal lines are deeply equal: an empty slice is nil, and released ends in true.
type line[K comparable, C any] struct {
	places   []place[K, C]
	released []bool // which were handed out and not admitted again; false beyond its end
}

type place[K comparable, C any] struct {
	key     K
	command C
}

func (l line[K, C]) len() int { return len(l.places) }

func (l line[K, C]) isReleased(i int) bool { return i < len(l.released) && l.released[i] }

func (l line[K, C]) countReleased() int {
	n := 0
	for _, released := range l.released {
		if released {
			n++
		}
	}
	return n
}

// startsWith reports whether the first command needs key.
func (l line[K, C]) startsWith(key K) bool { return len(l.places) > 0 && l.places[0].key == key }

// find returns the first released place of the command, or -1. A command that
// does not equal itself could never be known again and would keep its place for
// ever: for it the key has to do.
func (l line[K, C]) find(key K, command C) int {
	byKey := -1
	for i, released := range l.released {
		p := &l.places[i]
		if !released || p.key != key {
			continue
		}
		if reflect.DeepEqual(p.command, command) {
			return i
		}
		if itself := p.command; byKey < 0 && !reflect.DeepEqual(p.command, itself) {
			byKey = i
		}
	}
	return byKey
}

// add copies the line, which the bound of a workflow keeps short.
func (l *line[K, C]) add(key K, command C) {
	places := make([]place[K, C], len(l.places)+1)
	copy(places, l.places)
	places[len(l.places)] = place[K, C]{key: key, command: command}
	l.places = places
}

// takeBack ends the release of one place.
func (l *line[K, C]) takeBack(i int) {
	l.released = slices.Clone(l.released)
	l.released[i] = false
	l.trim()
}

// takeBackAll ends the release of all places.
func (l *line[K, C]) takeBackAll() { l.released = nil }

// releaseAll marks every place as released and returns the commands of those
// that were not.
func (l *line[K, C]) releaseAll() []C {
	n := len(l.places) - l.countReleased()
	if n == 0 {
		return nil
	}
	out := make([]C, 0, n)
	for i := range l.places {
		if !l.isReleased(i) {
			out = append(out, l.places[i].command)
		}
	}
	l.released = slices.Repeat([]bool{true}, len(l.places))
	return out
}

func (l *line[K, C]) cutFirst() {
	l.places = l.places[1:]
	if len(l.places) == 0 {
		l.places = nil
	}
	if len(l.released) > 0 {
		l.released = l.released[1:]
		l.trim()
	}
}

// remove takes out the places that match and returns their commands.
func (l *line[K, C]) remove(match func(p *place[K, C], released bool) bool) []C {
	var removed []C
	var kept line[K, C]
	for i := range l.places {
		p, released := &l.places[i], l.isReleased(i)
		if match(p, released) {
			removed = append(removed, p.command)
			continue
		}
		kept.places = append(kept.places, *p)
		kept.released = append(kept.released, released)
	}
	if len(removed) > 0 {
		kept.trim()
		*l = kept
	}
	return removed
}

func (l line[K, C]) clone() line[K, C] {
	return line[K, C]{places: slices.Clone(l.places), released: slices.Clone(l.released)}
}

func (l *line[K, C]) trim() {
	n := len(l.released)
	for n > 0 && !l.released[n-1] {
		n--
	}
	if l.released = l.released[:n]; n == 0 {
		l.released = nil
	}
}
