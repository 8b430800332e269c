package testkit

import (
	"slices"
	"strings"
)

// maxFollowed is how many steps are taken to make a walk short.
const maxFollowed = 2_000_000

// shrinking is a walk that is made short.
type shrinking struct {
	labels []string
	// breaks tells whether these steps break what is broken, and how many were
	// taken to see it.
	breaks   func(labels []string) (bool, int)
	followed int
}

// shrunk tells of what a walk has broken, in as few of its steps as are found to
// break the same.
func (w *wanderer[S, W]) shrunk(labels []string, broken *violation) *Failure {
	if broken.restless {
		labels = labels[:w.sys.settings.steps] // what comes after is the calm
	}
	s := &shrinking{labels: labels, breaks: func(labels []string) (bool, int) {
		taken, other, _ := w.follow(labels, broken.restless)
		return other != nil && other.headline == broken.headline, len(taken)
	}}
	f := &Failure{Headline: broken.headline, body: broken.body, how: ", of which none can be left out"}
	if !s.shrink() {
		f.how = ", and it may be possible with fewer"
	}
	taken, _, _ := w.follow(s.labels, false)
	f.Steps, f.trace = w.sys.retell(taken)
	return f
}

// shrink leaves out steps as long as what is left breaks the same: first halves,
// then quarters, at last one by one. It tells whether it has come to its end:
// then none can be left out.
func (s *shrinking) shrink() bool {
	for size := (len(s.labels) + 1) / 2; size > 0; {
		shorter := false
		for at := 0; at < len(s.labels); {
			if s.try(slices.Delete(slices.Clone(s.labels), at, min(at+size, len(s.labels)))) {
				shorter = true
			} else {
				at += size
			}
		}
		switch {
		case s.followed >= maxFollowed:
			return false
		case size > 1:
			size /= 2
		case !shorter && !s.merge():
			return true
		}
	}
	return true
}

func (s *shrinking) try(labels []string) bool {
	if s.followed >= maxFollowed {
		return false
	}
	same, taken := s.breaks(labels)
	s.followed += taken
	if same {
		s.labels = labels
	}
	return same
}

// merge has one request that is done and answered later be answered at once: when
// its answer arrived, or when it was done.
func (s *shrinking) merge() bool {
	for i, label := range s.labels {
		request, number, acts := strings.Cut(label, isDone)
		if !acts {
			continue
		}
		for j := i + 1; j < len(s.labels); j++ {
			if !strings.HasPrefix(s.labels[j], request+arrives) {
				continue
			}
			for _, at := range []int{j, i} {
				labels := slices.Clone(s.labels)
				labels[at] = request + isAnswered + number
				if s.try(slices.Delete(labels, i+j-at, i+j-at+1)) {
					return true
				}
			}
		}
	}
	return false
}
