package main

import (
	"fmt"
	"strings"
)

// work is what a row is called and has to hold.
type work struct {
	row    string
	title  string
	budget budget
}

// budget is how much rondo may take at most. The numbers are those of the
// design, section 11.
type budget struct {
	ratio  float64 // to ofRow of ofSide; 0 is no bound
	ofRow  string
	ofSide string
	ns     float64 // 0 is no bound
	allocs float64 // negative is no bound
}

var free = budget{allocs: -1}

// works are the rows that are known, in the table's order.
var works = []work{
	{"Send/senders=1", "plain send", budget{ratio: 4, ofSide: limit}},
	{"Send/ctx=cancel", "send with a context to cancel", free},
	{"Send/senders=8", "send, 8 senders", budget{ratio: 2.5, ofSide: limit}},
	{"Feedback", "feedback effect", budget{ratio: 1.5, ofRow: "Send/senders=1", ofSide: rondo}},
	{"Request/inflight=1", "request effect, 1 in flight", budget{ns: 300, allocs: 2}},
	{"Request/inflight=64", "request effect, 64 in flight", budget{ns: 300, allocs: 2}},
	{"Keyed", "1,024 keys, 8 senders", budget{ns: 75}},
	{"Ask", "ask and wait for the reply", free},
}

// String says the budget in the table's words.
func (b budget) String() string {
	var terms []string
	if b.ratio > 0 {
		of := "limit"
		if b.ofRow != "" {
			of = title(b.ofRow)
		}
		terms = append(terms, fmt.Sprintf("≤ %g× %s", b.ratio, of))
	}
	if b.ns > 0 {
		terms = append(terms, fmt.Sprintf("≤ %g ns", b.ns))
	}
	switch {
	case b.allocs == 0:
		terms = append(terms, allocs(0))
	case b.allocs > 0:
		terms = append(terms, "≤ "+allocs(b.allocs))
	}
	return strings.Join(terms, ", ")
}

// outcome is how a budget stands.
type outcome uint8

const (
	unbound outcome = iota // there is none
	unknown                // something it needs was not measured
	met
	missed
)

// check tells how b stands for a row, and by how much it is missed.
func (b budget) check(r *results, row string) (outcome, string) {
	if b == free {
		return unbound, ""
	}
	v, ok := r.of(row, rondo)
	if !ok {
		return unknown, "not measured"
	}
	var over []string
	if b.ratio > 0 {
		ofRow := b.ofRow
		if ofRow == "" {
			ofRow = row
		}
		of, ok := r.of(ofRow, b.ofSide)
		if !ok || of.ns == 0 {
			return unknown, "not measured"
		}
		if ratio := v.ns / of.ns; ratio > b.ratio {
			over = append(over, fmt.Sprintf("%.2f×", ratio))
		}
	}
	if b.ns > 0 && v.ns > b.ns {
		over = append(over, fmt.Sprintf("%.0f ns", v.ns))
	}
	if b.allocs >= 0 && v.allocs > b.allocs {
		over = append(over, allocs(v.allocs))
	}
	if over != nil {
		return missed, "missed: " + strings.Join(over, ", ")
	}
	return met, "met"
}

func allocs(n float64) string {
	if n == 1 {
		return "1 alloc"
	}
	return fmt.Sprintf("%g allocs", n)
}

// title is what a row is called, its own name if it is not known.
func title(row string) string {
	for _, w := range works {
		if w.row == row {
			return w.title
		}
	}
	return row
}
