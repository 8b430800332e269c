package kept_test

import (
	"encoding"
	"encoding/json"
	"math/big"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/internal/kept"
)

type (
	price  struct{ cents int }
	paid   struct{ price }
	hidden struct{ *Open }
	Open   struct{ N int }

	byValue struct{ n int }
	byRef   struct{ n int }
	text    struct{ s string }

	tree struct {
		Left, Right *tree
		Leaves      map[string][]tree
	}
	knot struct {
		Next *knot
		end  func()
	}
	marked struct {
		Seen  int        `json:"-"`
		mu    sync.Mutex `json:"-"`
		Name  string     `json:"name"`
		_     int
		empty struct{}
	}
	twice struct{ A, B price }
)

func (byValue) MarshalJSON() ([]byte, error) { return []byte("1"), nil }
func (*byRef) MarshalJSON() ([]byte, error)  { return []byte("1"), nil }
func (t text) MarshalText() ([]byte, error)  { return []byte(t.s), nil }
func (t *text) UnmarshalText(b []byte) error { t.s = string(b); return nil }
func use(...any)                             {}
func of[T any](tag kept.TagLoses) []string   { return kept.Losses("T", reflect.TypeFor[T](), tag) }
func meant[T any]() []string                 { return of[T](kept.TagMeant) }

func TestKept(t *testing.T) {
	t.Parallel()
	use(price{}.cents, byValue{}.n, byRef{}.n, knot{}.end, (&marked{}).mu.TryLock, marked{}.empty)
	for name, losses := range map[string][]string{
		"values": meant[struct {
			A int
			B string
			C []byte
			D map[int]float64
			E any
			F *bool
		}](),
		"no struct": meant[[]map[string]int](),
		"nothing":   kept.Losses("T", nil, kept.TagLost),
		"written by value": meant[struct {
			A byValue
			B *byValue
			C []byValue
		}](),
		"written by pointer": meant[byRef](),
		"as text":            meant[map[text]text](),
		"of libraries": meant[struct {
			A time.Time
			B uuid.UUID
			C json.RawMessage
			D big.Int
			E *time.Time
			F json.Number
		}](),
		"recursive":           meant[tree](),
		"embedded":            meant[struct{ Open }](),
		"an embedded pointer": meant[hidden](),
		"tagged":              meant[marked](),
	} {
		require.Empty(t, losses, name)
	}
}

func TestLosses(t *testing.T) {
	t.Parallel()
	const way = ": export it, give the type MarshalJSON and UnmarshalJSON"
	const tag = ", or tag it `json:\"-\"` if it is not to be kept"
	const cents = ".cents is not exported, so that it is not kept" + way + tag
	for name, c := range map[string]struct{ got, want []string }{
		"a field":              {meant[price](), []string{"T" + cents}},
		"behind a pointer":     {meant[*price](), []string{"T" + cents}},
		"deep":                 {meant[struct{ A []map[string]*[2]price }](), []string{"T.A[][][]" + cents}},
		"promoted":             {meant[paid](), []string{"T.price" + cents}},
		"an embedded pointer":  {meant[struct{ *price }](), []string{"T.price is not exported, so that it is not kept" + way + tag}},
		"twice, each is named": {meant[twice](), []string{"T.A" + cents, "T.B" + cents}},
		"recursive":            {meant[knot](), []string{"T.end is not exported, so that it is not kept" + way + tag}},
		"without the tag":      {of[price](kept.TagLost), []string{"T.cents is not exported, so that it is not kept" + way}},
		"the tag": {of[marked](kept.TagLost), []string{
			`T.Seen is tagged json:"-", so that it is not kept`, `T.mu is tagged json:"-", so that it is not kept`,
		}},
		"a channel":    {meant[chan int](), []string{"T is a chan int, which JSON cannot keep"}},
		"a func":       {meant[struct{ F func() }](), []string{"T.F is a func(), which JSON cannot keep"}},
		"complex":      {meant[struct{ C []complex128 }](), []string{"T.C[] is a complex128, which JSON cannot keep"}},
		"an interface": {meant[struct{ E error }](), []string{"T.E is a error, which cannot be read again: JSON does not say what is in it"}},
		"one that writes itself": {meant[struct{ E encoding.TextMarshaler }](), []string{
			"T.E is a encoding.TextMarshaler, which cannot be read again: JSON does not say what is in it",
		}},
		"keys": {meant[map[Open]int](), []string{
			"T has keys that are a kept_test.Open, which JSON cannot keep: want strings, integers or an encoding.TextMarshaler",
		}},
	} {
		require.Equal(t, c.want, c.got, name)
	}
}

// What Losses finds nothing in comes back, and what it finds something in does not.
func TestEncodingJSONAgrees(t *testing.T) {
	t.Parallel()
	comesBack := func(v any) bool {
		data, err := json.Marshal(v)
		if err != nil {
			return false
		}
		again := reflect.New(reflect.TypeOf(v))
		return json.Unmarshal(data, again.Interface()) == nil && reflect.DeepEqual(v, again.Elem().Interface())
	}
	for _, v := range []any{
		price{1}, paid{price{1}}, struct{ *price }{&price{1}}, struct{ Open }{Open{1}}, hidden{&Open{1}}, map[Open]int{{1}: 1},
		map[text]int{{"a"}: 1}, map[int]text{1: {"a"}}, struct{ E error }{json.Unmarshal(nil, new(int))}, struct{ E any }{"a"}, tree{Left: &tree{}},
		struct{ C complex64 }{1}, time.Unix(1, 0).UTC(), uuid.New(),
	} {
		require.Equal(t, comesBack(v), len(kept.Losses("T", reflect.TypeOf(v), kept.TagMeant)) == 0, "%T", v)
	}
}
