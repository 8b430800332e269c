package fingerprint_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/internal/fingerprint"
)

// A renamed hash is the hash of the value that has been renamed by hand.
func TestRenaming(t *testing.T) {
	t.Parallel()
	typ, err := fingerprint.For[nested]()
	require.NoError(t, err)
	check := func(name string, r fingerprint.Renaming, by func(*nested)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, renamed := nestedValue(), nestedValue()
			by(&renamed)
			require.Equal(t, typ.Hash(&renamed), typ.HashWith(&v, r))
			require.Equal(t, typ.Hash(&renamed), fingerprint.OfWith(v, r))
			require.NotEqual(t, typ.Hash(&v), typ.HashWith(&v, r))
		})
	}
	check("string", fingerprint.NewRenaming([]id{"bob", "eve"}, []id{"eve", "bob"}), func(n *nested) {
		n.Owner, n.Names, n.Text = "eve", []id{"x", "eve"}, id("eve")
		n.ByID = map[id]int{"eve": 1, "bob": 2, "sam": 3}
		n.BySeat = map[seat]id{1: "eve", 2: "bob"}
		n.Next = &nested{Owner: "bob"}
	})
	check("int", fingerprint.NewRenaming([]seat{1, 2}, []seat{2, 1}), func(n *nested) {
		n.Seats, n.Row, n.Mixed.a, n.Mixed.b = []seat{2, 1, 3}, [3]seat{3, 1, 2}, 2, 1
		n.BySeat = map[seat]id{2: "bob", 1: "eve"}
		n.List[4] = seat(2)
	})
	check("byte", fingerprint.NewRenaming([]shade{1, 2}, []shade{2, 1}), func(n *nested) {
		n.Shades, n.Hue = []shade{2, 1}, [2]shade{1, 2}
	})
	check("struct", fingerprint.NewRenaming([]point{{1, 2}}, []point{{5, 6}}), func(n *nested) {
		n.private, n.List[5], n.List[6] = point{5, 6}, point{5, 6}, &point{5, 6}
		n.Points = map[point]point{{5, 6}: {3, 4}, {}: {0, 1}}
	})
	check("interface", fingerprint.NewRenaming([]fmt.Stringer{id("bob")}, []fmt.Stringer{id("eve")}), func(n *nested) {
		n.Text = id("eve")
	})
	check("any", fingerprint.NewRenaming([]any{1, nil}, []any{2, 3}), func(n *nested) {
		n.Any = map[string]any{"a": 2, "b": []string{"c"}}
		n.List[0], n.List[3] = 2, 3
		n.Next.Any = 3
	})
	check("uuid", fingerprint.NewRenaming([]uuid.UUID{flatValue().ID}, []uuid.UUID{{1}}), func(n *nested) {
		n.ID = uuid.UUID{1}
	})
	check("time", fingerprint.NewRenaming([]time.Time{day}, []time.Time{day.Add(1)}), func(n *nested) {
		n.At = day.Add(1)
	})
	check("whole", fingerprint.NewRenaming([]flat{flatValue()}, []flat{{}}), func(n *nested) {
		n.flat = flat{}
	})
}

type proc int

type symmetric struct {
	a       int64
	leader  proc
	b, c    int64
	votes   map[proc]proc
	log     []proc
	queue   []struct{ from, to proc }
	row     [5]proc
	pending []any
	hidden  struct {
		name string
		p    proc
		q    uint32
		more *proc
	}
}

func TestRenamingProperty(t *testing.T) {
	t.Parallel()
	typ, err := fingerprint.For[symmetric]()
	require.NoError(t, err)
	procs := rapid.Map(rapid.IntRange(0, 12), func(n int) proc { return proc(n) })
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		var from []proc
		for i := range n {
			from = append(from, proc(i))
		}
		to := rapid.Permutation(from).Draw(t, "to")
		renamed := func(p proc) proc {
			if int(p) < n {
				return to[p]
			}
			return p
		}
		var s, want symmetric
		one := func(a, b *proc) {
			*a = procs.Draw(t, "proc")
			*b = renamed(*a)
		}
		s.a, s.b, s.c = 1, 2, 3
		want.a, want.b, want.c = 1, 2, 3
		one(&s.leader, &want.leader)
		s.votes, want.votes = map[proc]proc{}, map[proc]proc{}
		for range rapid.IntRange(0, 5).Draw(t, "votes") {
			k, v := procs.Draw(t, "key"), procs.Draw(t, "value")
			s.votes[k], want.votes[renamed(k)] = v, renamed(v)
		}
		for range rapid.IntRange(0, 50).Draw(t, "log") {
			p := procs.Draw(t, "entry")
			s.log, want.log = append(s.log, p), append(want.log, renamed(p))
			s.queue = append(s.queue, struct{ from, to proc }{p, 3})
			want.queue = append(want.queue, struct{ from, to proc }{renamed(p), renamed(3)})
			s.pending, want.pending = append(s.pending, p, int(p)), append(want.pending, renamed(p), int(p))
		}
		for i := range s.row {
			one(&s.row[i], &want.row[i])
		}
		one(&s.hidden.p, &want.hidden.p)
		s.hidden.more, want.hidden.more = new(proc), new(proc)
		one(s.hidden.more, want.hidden.more)

		require.Equal(t, typ.Hash(&want), typ.HashWith(&s, fingerprint.NewRenaming(from, to)))
		require.Equal(t, typ.Hash(&s), typ.HashWith(&s, fingerprint.NewRenaming(from, from)))
	})
}

func TestRenamingPointer(t *testing.T) {
	t.Parallel()
	a, b := &node{v: 1}, &node{v: 2}
	a.peers, b.peers = []*node{b}, []*node{b}
	r := fingerprint.NewRenaming([]*node{a}, []*node{b})
	require.Equal(t, fingerprint.Of([]*node{b, b}), fingerprint.OfWith([]*node{a, b}, r))
	require.Equal(t, fingerprint.Of(b), fingerprint.OfWith(b, r))
}

func TestRenamingPanics(t *testing.T) {
	t.Parallel()
	require.Panics(t, func() { fingerprint.NewRenaming([]id{"a"}, nil) })
	require.Panics(t, func() { fingerprint.NewRenaming([]id{"a", "a"}, []id{"b", "c"}) })
}
