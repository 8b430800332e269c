package saga

import (
	"math"
	"time"
)

// asked is a hash of what a reducer asks for in one decision, in order. Histories
// keep it, so that it must stay as it is. It is FNV-1a (Fowler, Noll, Vo) over what a
// record keeps anyway, with each text's length before it.
type asked uint64

// nothing is asked for. 0 is left to say that it is not known.
const nothing asked = 1

// do adds a request with its undo, as encoded, and with its options as the reducer has
// said them.
func (a *asked) do(c *Command, request, undo *call) {
	a.number(uint64(opDo))
	for _, q := range [...]*call{request, undo} {
		addText(a, q.Request)
		addText(a, q.Data)
		addText(a, q.Child)
	}
	addText(a, c.Key)
	a.number(uint64(c.Timeout)) //nolint:gosec // its bits
	if p := c.Retry; p != nil {
		for _, n := range [...]int64{int64(p.Attempts), int64(p.Delay), int64(p.MaxDelay)} {
			a.number(uint64(n)) //nolint:gosec // its bits
		}
		a.number(math.Float64bits(p.Factor))
		a.number(math.Float64bits(p.Jitter))
	}
}

// after adds a timer.
func (a *asked) after(key string, wait time.Duration, action *named) {
	a.say(opAfter, key)
	a.number(uint64(wait)) //nolint:gosec // its bits
	addText(a, action.Name)
	addText(a, action.Data)
}

// say adds what is but a word.
func (a *asked) say(kind opKind, word string) {
	a.number(uint64(kind))
	addText(a, word)
}

const fnvPrime = 1099511628211

func addText[T ~string | ~[]byte](a *asked, text T) {
	a.number(uint64(len(text)))
	h := *a
	for i := range len(text) {
		h = (h ^ asked(text[i])) * fnvPrime
	}
	*a = h
}

// number adds a number at once, so that its high bits reach the low ones too.
func (a *asked) number(n uint64) {
	h := (*a ^ asked(n)) * fnvPrime
	*a = h ^ h>>32
}
