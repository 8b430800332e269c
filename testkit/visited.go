package testkit

// visited is the set of situations found, by their fingerprints: a hash table
// with open addressing, of which nothing is ever taken out. While nobody adds,
// many may look.
type visited struct {
	keys  []uint64 // 0 is empty
	index []uint32
	n     int
}

func newVisited() *visited { return &visited{keys: make([]uint64, 1024), index: make([]uint32, 1024)} }

// find gives the index of the situation with the fingerprint h.
func (v *visited) find(h uint64) (index uint32, ok bool) {
	h = max(h, 1)
	mask := uint64(len(v.keys) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch v.keys[i] {
		case h:
			return v.index[i], true
		case 0:
			return 0, false
		}
	}
}

// add is called with an h that find does not know.
func (v *visited) add(h uint64, index uint32) {
	if v.n++; v.n*5 > len(v.keys)*3 {
		old := *v
		v.keys, v.index = make([]uint64, 2*len(old.keys)), make([]uint32, 2*len(old.keys))
		for i, key := range old.keys {
			if key != 0 {
				v.place(key, old.index[i])
			}
		}
	}
	v.place(max(h, 1), index)
}

func (v *visited) place(h uint64, index uint32) {
	mask := uint64(len(v.keys) - 1)
	i := h & mask
	for v.keys[i] != 0 {
		i = (i + 1) & mask
	}
	v.keys[i], v.index[i] = h, index
}

func (v *visited) bytes() int { return 12 * len(v.keys) }
