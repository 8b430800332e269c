package main

import (
	"path"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchproc"
)

// results are the medians of what was measured, and where.
type results struct {
	rows     []string // in the order in which they were measured
	values   map[string]map[string]value
	runs     int    // of whatever was run most often
	platform string // goos/goarch
	procs    string // GOMAXPROCS
	warnings []string
}

// value is what one side took for one operation.
type value struct{ ns, bytes, allocs float64 }

// Sides that the table knows by name.
const (
	rondo = "rondo"
	limit = "mutex"
)

func (r *results) of(row, side string) (value, bool) {
	v, ok := r.values[row][side]
	return v, ok
}

// read takes the medians of the results in files. A benchmark of this module is
// a row by its name without the part peer=…, which is the side; one of another
// package is a row by the package's name and its own, and rondo's if it does not
// say whose.
func read(files *benchfmt.Files) (*results, error) {
	type series struct{ ns, bytes, allocs []float64 }
	r := &results{values: map[string]map[string]value{}}
	all := map[string]map[string]*series{}

	var parser benchproc.ProjectionParser
	var projections [4]*benchproc.Projection
	for i, expression := range []string{"pkg", "/peer", "/gomaxprocs", ".fullname"} {
		p, err := parser.Parse(expression, nil)
		if err != nil {
			return nil, err
		}
		projections[i] = p
	}
	for files.Scan() {
		switch record := files.Result().(type) {
		case *benchfmt.SyntaxError:
			r.warnings = append(r.warnings, record.Error())
		case *benchfmt.Result:
			var part [4]string
			for i, p := range projections {
				part[i] = p.Project(record).Get(p.Fields()[0])
			}
			pkg, side, row := path.Base(part[0]), part[1], part[3]
			if pkg != "benchmarks" {
				row = pkg + "." + row
			}
			if side == "" {
				side = rondo
			}
			r.platform = record.GetConfig("goos") + "/" + record.GetConfig("goarch")
			r.procs = part[2]
			if all[row] == nil {
				all[row] = map[string]*series{}
				r.rows = append(r.rows, row)
			}
			if all[row][side] == nil {
				all[row][side] = &series{}
			}
			s := all[row][side]
			for _, v := range record.Values {
				switch {
				case v.OrigUnit == "ns/op": // as it was printed, before it was made seconds
					s.ns = append(s.ns, v.OrigValue)
				case v.Unit == "B/op":
					s.bytes = append(s.bytes, v.Value)
				case v.Unit == "allocs/op":
					s.allocs = append(s.allocs, v.Value)
				}
			}
			r.runs = max(r.runs, len(s.ns))
		}
	}
	for row, sides := range all {
		r.values[row] = map[string]value{}
		for side, s := range sides {
			r.values[row][side] = value{median(s.ns), median(s.bytes), median(s.allocs)}
		}
	}
	return r, files.Err()
}

func median(values []float64) float64 {
	sample := benchmath.NewSample(values, &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(sample, 0.95).Center
}
