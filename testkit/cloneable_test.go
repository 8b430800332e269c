package testkit_test

import (
	"context"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

type (
	lockedPart struct {
		Name string
		lock sync.Mutex //nolint:unused // that it is there is the point
	}
	Locked      struct{ Section lockedPart }
	Callback    struct{ Done func() }
	Channels    struct{ Out map[string][]chan int }
	Pointers    struct{ Raw unsafe.Pointer }
	Counters    struct{ N *atomic.Int64 }
	Embedded    struct{ sync.RWMutex }
	Group       struct{ Wait [2]sync.WaitGroup }
	Lazy        struct{ Once sync.Once }
	Keys        struct{ By map[chan int]bool }
	Holder      struct{ Any any }
	OwnLock     struct{ L spin }
	spin        struct{ _ int32 }
	SelfCloning struct {
		N    int
		lock *sync.Mutex
	}
)

func (*spin) Lock()   {}
func (*spin) Unlock() {}

func (s SelfCloning) Clone() SelfCloning { return SelfCloning{s.N, new(sync.Mutex)} }

func nothing[S any]() reducer.Reducer[S, Action] {
	return reducer.Func[S, Action](func(*S, Action, reducer.Env) effect.Effect[Action] { return fx.None() })
}

// refused is the report about a state that cannot be cloned.
func refused[S any](t *testing.T, initial S) string {
	t.Helper()
	return fails(t, func(t *fakeT) { testkit.New(t, initial, nothing[S]()) })
}

func TestStateThatCannotBeCloned(t *testing.T) {
	t.Parallel()
	const advice = "cannot be cloned: keep locks, funcs and channels out of a state, or give "
	for want, report := range map[string]string{
		"testkit: Locked.Section.lock: sync.Mutex " + advice + "Locked a Clone() method": refused(t, &Locked{}),
		"testkit: Callback.Done: func() " + advice:                                       refused(t, Callback{}),
		"testkit: Channels.Out[][]: chan int " + advice:                                  refused(t, Channels{}),
		"testkit: Pointers.Raw: unsafe.Pointer " + advice:                                refused(t, Pointers{}),
		"testkit: Counters.N: atomic.Int64 " + advice:                                    refused(t, Counters{}),
		"testkit: Embedded.RWMutex: sync.RWMutex " + advice:                              refused(t, &Embedded{}),
		"testkit: Group.Wait[]: sync.WaitGroup " + advice:                                refused(t, &Group{}),
		"testkit: Lazy.Once: sync.Once " + advice:                                        refused(t, &Lazy{}),
		"testkit: Keys.By[key]: chan int " + advice:                                      refused(t, Keys{}),
		"testkit: OwnLock.L: testkit_test.spin " + advice:                                refused(t, OwnLock{}),
		"testkit: Holder.Any.Done: func() " + advice:                                     refused(t, Holder{Callback{func() {}}}),
		"testkit: Holder.Any[1]: func() " + advice:                                       refused(t, Holder{[]any{nil, func() {}}}),
		"testkit: Holder.Any[k]: chan int " + advice:                                     refused(t, Holder{map[string]any{"k": make(chan int)}}),
		"testkit: state[].Done: func() " + advice:                                        refused(t, []Callback(nil)),
	} {
		require.Contains(t, report, want)
	}
}

func TestStateThatCannotBeClonedAnyMore(t *testing.T) {
	t.Parallel()
	mentions(t, fails(t, func(t *fakeT) {
		ts := testkit.New(t, Holder{}, reducer.Func[Holder, Action](func(s *Holder, _ Action, _ reducer.Env) effect.Effect[Action] {
			s.Any = func() {}
			return fx.None()
		}))
		ts.Send(Done{})
	}), "Holder.Any: func() cannot be cloned", `Send Done{}`)
}

func TestActionThatCannotBeCloned(t *testing.T) {
	t.Parallel()
	const advice = "cannot be cloned: keep locks, funcs and channels out of an action, or give "
	t.Run("sent", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) { testkit.New(t, Log{}, nothing[Log]()).Send(Callback{}) }),
			"testkit: Callback.Done: func() "+advice+"Callback a Clone() method")
	})
	t.Run("received", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ctx := t.Context()
			ts := testkit.New(t, Log{}, begins(func(Begin) effect.Effect[Action] { return fx.Send(Holder{ctx}) }))
			ts.Send(Begin{})
			ts.SkipActions()
		}), "Holder.Any", "cannot be cloned")
	})
}

func (f *fakeT) Context() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	f.Cleanup(cancel)
	return ctx
}

func TestOwnClone(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, SelfCloning{1, new(sync.Mutex)}, reducer.Func[SelfCloning, Action](func(s *SelfCloning, _ Action, _ reducer.Env) effect.Effect[Action] {
		s.lock.Lock()
		defer s.lock.Unlock()
		s.N++
		return fx.None()
	}))
	ts.Send(SelfCloning{7, new(sync.Mutex)}, func(s *SelfCloning) { s.N = 2 })
	require.Equal(t, 2, ts.State().N)
}

// What states are made of, and must come through all checks unharmed.
type everything struct {
	At      time.Time
	In      *time.Location
	ID      uuid.UUID
	Big     *big.Int
	Rat     *big.Rat
	Err     error
	Joined  error
	Type    reflect.Type
	Addr    netip.Addr
	URL     *url.URL
	A, B    *int // the same
	Next    *everything
	Nested  map[string]map[int][]string
	private map[struct{ x int }]*everything
	Any     any
	embedded
}

type embedded struct{ inner []byte }

func TestStateOfEveryKind(t *testing.T) {
	t.Parallel()
	n := 5
	s := everything{
		At: time.Now(), In: time.FixedZone("X", 3600), ID: uuid.Max, Big: big.NewInt(0), Rat: big.NewRat(1, 3),
		Err: errSold, Joined: errors.Join(errSold, context.Canceled), Type: reflect.TypeFor[int](),
		Addr: netip.MustParseAddr("fe80::1%eth0"), URL: &url.URL{Host: "h", User: url.User("u")}, A: &n, B: &n,
		Nested:   map[string]map[int][]string{"a": {1: {"x"}}, "b": nil},
		Any:      []any{1, "x", &n, nil, errSold},
		embedded: embedded{[]byte("bytes")},
	}
	s.Next = &s
	s.private = map[struct{ x int }]*everything{{1}: &s, {2}: nil}
	ts := testkit.New(t, s, reducer.Func[everything, Action](func(s *everything, a Action, _ reducer.Env) effect.Effect[Action] {
		if _, ok := a.(Got); ok {
			return fx.None()
		}
		*s.A++
		s.Big = new(big.Int).Add(s.Big, big.NewInt(1))
		switch {
		case *s.B != *s.A, s.Next.A != s.A, s.private[struct{ x int }{1}] != s.Next:
			panic("pointers that were the same are not")
		case s.Err != errSold, !errors.Is(s.Joined, context.Canceled): //nolint:errorlint // the very same is what it must be
			panic("an error has lost its identity")
		case s.Addr != netip.MustParseAddr("fe80::1%eth0"), s.Type != reflect.TypeFor[int]():
			panic("a value has lost its identity")
		}
		return effect.Do(Query{1}, got)
	}))
	for range 3 {
		ts.Send(Done{}, func(s *everything) { *s.A++; s.Big = new(big.Int).Add(s.Big, big.NewInt(1)) })
		testkit.Reply(ts, Query{1}, 1)
		ts.Receive(Got{N: 1})
	}
	require.Equal(t, 8, *ts.State().B)
}

func TestErrorsEqualThoseThatWrapThem(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, State{}, Booking{})
	ts.Send(ReserveSeats{"Z", "c1"}, func(s *State) {
		s.Phase, s.Waiting = Loading, []Action{ReserveSeats{"Z", "c1"}}
	})
	testkit.Fail(ts, LoadSection{"Z"}, effect.Permanent(errNotFound))
	ts.Receive(LoadFailed{errNotFound}, func(s *State) { s.Phase, s.Waiting, s.Failed = Idle, nil, errNotFound })
}
