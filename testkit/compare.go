package testkit

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// exact is how two runs of one step are compared: all fields, exported or not;
// times by their instant, as cmp does by their Equal; numbers of math/big by
// their value; funcs by where they are.
var exact = cmp.Options{
	cmp.Exporter(func(reflect.Type) bool { return true }),
	cmp.FilterPath(func(p cmp.Path) bool {
		t := p.Last().Type()
		return t != nil && t.Kind() == reflect.Func
	}, cmp.Comparer(func(x, y any) bool {
		return reflect.ValueOf(x).Pointer() == reflect.ValueOf(y).Pointer()
	})),
	cmp.Comparer(func(x, y reflect.Type) bool { return x == y }),
	cmp.Comparer(func(x, y *time.Location) bool { return x.String() == y.String() }),
	cmp.Comparer(func(x, y uuid.UUID) bool { return x == y }),
	cmp.Comparer(func(x, y *big.Int) bool { return x == y || x != nil && y != nil && x.Cmp(y) == 0 }),
	cmp.Comparer(func(x, y *big.Rat) bool { return x == y || x != nil && y != nil && x.Cmp(y) == 0 }),
	cmp.Comparer(func(x, y *big.Float) bool { return x == y || x != nil && y != nil && x.Cmp(y) == 0 }),
}

// sameError makes an error equal to one that it wraps, so that a test need not
// know the words around a sentinel.
var sameError = cmp.FilterValues(func(x, y error) (same bool) {
	defer func() {
		if recover() != nil { // of errors that cannot be compared
			same = false
		}
	}()
	return x != nil && y != nil && (errors.Is(x, y) || errors.Is(y, x))
}, cmp.Comparer(func(_, _ error) bool { return true }))

// equal compares by the options given. What is the same bit for bit needs none.
func equal(x, y any, options cmp.Options) (same bool) {
	if reflect.DeepEqual(x, y) {
		return true
	}
	defer func() {
		if recover() != nil { // of an Equal method that cannot stand these values
			same = false
		}
	}()
	return cmp.Equal(x, y, options)
}

// diff is cmp.Diff, with plain spaces.
func diff(x, y any, options cmp.Options) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("- %s\n+ %s\n(comparing them panicked: %v)", show(x), show(y), v)
		}
	}()
	return strings.TrimRight(strings.ReplaceAll(cmp.Diff(x, y, options), "\u00a0", " "), "\n")
}

// differences are the values at the places where x and y differ. Where one has
// nothing, its value is not valid.
func differences(x, y any, options cmp.Options) [][2]reflect.Value {
	var c counter
	func() {
		defer func() { _ = recover() }() // as in equal: what was counted stays
		cmp.Equal(x, y, options, cmp.Reporter(&c))
	}()
	return c.differ
}

// counter is a cmp.Reporter that keeps the values which differ.
type counter struct {
	path   cmp.Path
	differ [][2]reflect.Value
}

func (c *counter) PushStep(s cmp.PathStep) { c.path = append(c.path, s) }
func (c *counter) PopStep()                { c.path = c.path[:len(c.path)-1] }

func (c *counter) Report(r cmp.Result) {
	if !r.Equal() {
		x, y := c.path.Last().Values()
		c.differ = append(c.differ, [2]reflect.Value{x, y})
	}
}
