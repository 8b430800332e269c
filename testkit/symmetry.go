package testkit

import (
	"fmt"
	"strings"

	"github.com/seed57833328/rondo/internal/fingerprint"
)

// renaming exchanges values for others while a situation is hashed. A nil one
// exchanges none.
type renaming struct {
	values fingerprint.Renaming
	words  map[string]string // of names of stores
	index  int
	stores []uint64 // hashes of the names of stores
}

// symmetry is a set of values that can be exchanged.
type symmetry struct {
	names    []string
	distinct bool
	rename   func(to []int) fingerprint.Renaming
}

// maxSymmetric is how many values can be exchanged: each situation is then
// hashed 120 times.
const maxSymmetric = 5

// Symmetric tells that values of type T can be exchanged for each other:
// customers, seats, reservations that differ by their name alone. Situations
// that are the same but for such an exchange are then explored once (symmetry
// reduction: Ip and Dill, 1996).
//
// It holds only if reducers, answers and promises compare these values with
// each other and do nothing else with them: do not sort them, pick the least, or
// treat one of them in a way of its own. That the model begins symmetric is
// checked, the rest is not. Methods Hash are not used with it.
//
// In the name of a store the values are found as words: "payment r1". Symmetric
// can be given once.
func Symmetric[T comparable](values ...T) Option {
	s := symmetry{distinct: true}
	known := map[T]bool{}
	for _, v := range values {
		s.distinct = s.distinct && !known[v]
		known[v] = true
		s.names = append(s.names, fmt.Sprint(v))
	}
	s.rename = func(to []int) fingerprint.Renaming {
		renamed := make([]T, len(values))
		for i, j := range to {
			renamed[i] = values[j]
		}
		return fingerprint.NewRenaming(values, renamed)
	}
	return Option{func(st *settings) { st.symmetries = append(st.symmetries, s) }}
}

// permute makes the renamings under which situations are the same, and checks
// that the model begins alike under all of them.
func (sys *system[S, W]) permute() error {
	all := sys.settings.symmetries
	if len(all) == 0 || sys.settings.noReduction {
		return nil
	}
	s := all[0]
	n := len(s.names)
	switch {
	case len(all) > 1:
		return modelError("Symmetric is given twice: one set of values can be exchanged")
	case n < 2 || n > maxSymmetric:
		return modelError(fmt.Sprintf("Symmetric has %d values, want 2 to %d", n, maxSymmetric))
	case !s.distinct:
		return modelError("Symmetric has the same value twice")
	}
	first := sys.initial()
	for i, to := range permutations(n) {
		r := &renaming{values: s.rename(to), words: map[string]string{}, index: i}
		for from, j := range to {
			r.words[s.names[from]] = s.names[j]
		}
		for part := range sys.hosts {
			r.stores = append(r.stores, sys.nameHash(part, r))
		}
		for i := range sys.senders {
			s := &sys.senders[i]
			s.hashes = append(s.hashes[:r.index], sys.senderHash(s, r))
		}
		sys.permuted = append(sys.permuted, r)
		if i > 0 && sys.hashWith(first, r) != sys.hashWith(first, sys.permuted[0]) {
			var pairs []string
			for from, j := range to {
				if from != j {
					pairs = append(pairs, s.names[j]+" for "+s.names[from])
				}
			}
			return modelError("Symmetric: the model begins otherwise with " + strings.Join(pairs, ", ") +
				": its State, World, Stores or Inputs treat these values differently")
		}
	}
	return nil
}

// permutations are those of 0 to n-1, the identity first.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, shorter := range permutations(n - 1) {
		for at := n - 1; at >= 0; at-- {
			p := append([]int(nil), shorter[:at]...)
			p = append(append(p, n-1), shorter[at:]...)
			all = append(all, p)
		}
	}
	return all
}
