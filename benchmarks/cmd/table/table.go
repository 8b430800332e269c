package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// peers are the sides whose time is given as a multiple of rondo's.
var peers = []string{"bubbletea", "protoactor", "loop"}

// none stands where a side cannot do the work, or was not measured.
const none = "-"

// lines is the table, ready to be printed.
type lines struct {
	caption []string
	header  table.Row
	rows    []table.Row
	failed  []error // budgets that are missed or were not measured
}

func newTable(r *results) *lines {
	t := &lines{
		caption: []string{
			fmt.Sprintf("Medians of %d runs on %s with GOMAXPROCS=%s.", r.runs, r.platform, r.procs),
			"A peer's column is its time over rondo's: above 1×, rondo is faster.",
			"The last ratio is rondo's time over the limit's, which is a mutex and a call.",
		},
		header: table.Row{"work", "rondo ns/op", "allocs", "B/op"},
	}
	for _, p := range peers {
		t.header = append(t.header, p)
	}
	t.header = append(t.header, "÷ limit", "budget", "result")

	known := map[string]bool{}
	for _, w := range works {
		known[w.row] = true
		t.add(r, w)
	}
	for _, row := range r.rows {
		if !known[row] {
			t.add(r, work{row: row, title: row, budget: free})
		}
	}
	return t
}

func (t *lines) add(r *results, w work) {
	stands, how := w.budget.check(r, w.row)
	if stands == unknown || stands == missed {
		t.failed = append(t.failed, fmt.Errorf("%s: %s (budget: %s)", w.title, how, w.budget))
	}
	v, ok := r.of(w.row, rondo)
	if !ok {
		if stands != unbound || r.values[w.row] != nil {
			row := table.Row{w.title}
			for range len(t.header) - 3 {
				row = append(row, none)
			}
			t.rows = append(t.rows, append(row, w.budget, how))
		}
		return
	}
	ratio := func(a, b value, ok bool) string {
		if !ok || b.ns == 0 {
			return none
		}
		return fmt.Sprintf("%.2f×", a.ns/b.ns)
	}
	row := table.Row{w.title, number(v.ns), number(v.allocs), number(v.bytes)}
	for _, p := range peers {
		peer, ok := r.of(w.row, p)
		row = append(row, ratio(peer, v, ok))
	}
	most, ok := r.of(w.row, limit)
	t.rows = append(t.rows, append(row, ratio(v, most, ok), w.budget, how))
}

// number gives as many digits as mean something.
func number(v float64) string {
	if v == float64(int(v)) || v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

func (t *lines) writer() table.Writer {
	w := table.NewWriter()
	w.AppendHeader(t.header)
	w.AppendRows(t.rows)
	var columns []table.ColumnConfig
	for i := 2; i <= len(t.header)-2; i++ { // numbers
		columns = append(columns, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	w.SetColumnConfigs(columns)
	return w
}

// text is the table for a terminal.
func (t *lines) text() string {
	w := t.writer()
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Options.SeparateHeader = true
	w.SetStyle(style)
	w.SuppressTrailingSpaces()
	return strings.Join(t.caption, "\n") + "\n\n" + w.Render()
}

// markdown is the table for a document.
func (t *lines) markdown() string {
	return strings.Join(t.caption, " ") + "\n\n" + t.writer().RenderMarkdown()
}

// verdict is what is wrong with the budgets.
func (t *lines) verdict() error {
	return errors.Join(t.failed...)
}
