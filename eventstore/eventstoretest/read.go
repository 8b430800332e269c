package eventstoretest

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var readTests = []subtest{
	{"a stream from any version", readFromAnyVersion},
	{"a stream that is not there", readNothing},
	{"a stream of many pages", readManyPages},
	{"broken off, and read again", readBrokenOff},
	{"appends while a read goes on", appendWhileReading},
	{"reads within reads", readWithinRead},
	{"all, after any position", readAfterAnyPosition},
	{"all, page by page", readPageByPage},
	{"filters", readFiltered},
	{"filters are taken literally", filtersLiteral},
	{"head", headAscends},
	{"nothing comes at or below a head that was seen", headIsFinal},
}

func headOf(ctx context.Context, s *scene) eventstore.Position {
	s.Helper()
	head, err := s.Store.Head(ctx)
	require.NoError(s, err)
	require.GreaterOrEqual(s, head, eventstore.Position(0))
	return head
}

func readFromAnyVersion(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	all := s.fill(ctx, stream, 7)
	s.fill(ctx, s.stream(), 7)
	for from := range 10 {
		s.same(all[min(max(from-1, 0), 7):], s.read(s.Store.ReadStream(ctx, stream, eventstore.Version(from))))
	}
	require.Empty(s, s.read(s.Store.ReadStream(ctx, stream, math.MaxInt64)))
}

func readNothing(s *scene) {
	ctx := s.ctx()
	for _, from := range []eventstore.Version{0, 1, 5} {
		require.Empty(s, s.read(s.Store.ReadStream(ctx, s.stream(), from)))
	}
}

func readManyPages(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	const n = 2_600
	all := s.fill(ctx, stream, n)
	for _, from := range []eventstore.Version{1, 2, 100, 1_000, n} {
		got := s.read(s.Store.ReadStream(ctx, stream, from))
		require.Equal(s, ids(all[from-1:]), ids(got))
		s.ascending(got)
	}
}

func readBrokenOff(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	all := s.fill(ctx, stream, 1_200)
	for name, events := range map[string]func() ([]eventstore.Recorded, error){
		"ReadStream": pages(s.Store.ReadStream(ctx, stream, 1), 3, 1_100),
		"ReadAll":    pages(s.Store.ReadAll(ctx, all[0].Position-1, eventstore.Filter{}), 3, 1_100),
	} {
		for _, want := range []int{3, 1_100} {
			got, err := events()
			require.NoError(s, err)
			require.Equal(s, ids(all[:want]), ids(got), "%s, broken off after %d", name, want)
		}
	}
	// A sequence begins anew each time it is ranged over, and sees what came.
	sequence := s.Store.ReadStream(ctx, stream, 1_199)
	s.same(all[1_198:], s.read(sequence))
	more := s.append(ctx, write(stream, eventstore.Any, 1))[0].Events
	s.same(append(slices.Clone(all[1_198:]), more...), s.read(sequence))
	// Nothing is left open that an append or another read would wait for.
	for range 64 {
		for _, err := range s.Store.ReadStream(ctx, stream, 1) {
			require.NoError(s, err)
			break
		}
		for _, err := range s.Store.ReadAll(ctx, 0, eventstore.Filter{}) {
			require.NoError(s, err)
			break
		}
	}
	s.append(ctx, write(stream, eventstore.Exactly(1_201), 1))
}

// pages reads the same sequence again with each call, and breaks off after so
// many events.
func pages(events func(func(eventstore.Recorded, error) bool), after ...int) func() ([]eventstore.Recorded, error) {
	return func() ([]eventstore.Recorded, error) {
		n := after[0]
		after = after[1:]
		var got []eventstore.Recorded
		for e, err := range events {
			if err != nil {
				return got, err
			}
			if got = append(got, e); len(got) == n {
				break
			}
		}
		return got, nil
	}
}

func appendWhileReading(s *scene) {
	ctx, stream, other := s.ctx(), s.stream(), s.stream()
	s.fill(ctx, stream, 600)
	n := 0
	for e, err := range s.Store.ReadStream(ctx, stream, 1) {
		require.NoError(s, err)
		n++
		require.EqualValues(s, n, e.Version)
		if n%150 == 0 && n <= 600 {
			s.append(ctx, write(other, eventstore.Any, 1), write(stream, eventstore.Exactly(eventstore.Version(600+n/150-1)), 1))
		}
	}
	require.GreaterOrEqual(s, n, 600)
	s.requireVersion(ctx, other, 4)
	s.requireVersion(ctx, stream, 604)
}

func readWithinRead(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	all := s.fill(ctx, stream, 3)
	var depth func(n int)
	depth = func(n int) {
		for e, err := range s.Store.ReadStream(ctx, stream, 1) {
			require.NoError(s, err)
			require.Equal(s, stream, e.Stream)
			if n > 0 {
				depth(n - 1)
			}
			headOf(ctx, s)
		}
	}
	depth(3)
	for e, err := range s.Store.ReadAll(ctx, all[0].Position-1, eventstore.Filter{}) {
		require.NoError(s, err)
		require.Len(s, s.read(s.Store.ReadStream(ctx, stream, e.Version)), 4-int(e.Version))
	}
}

func readAfterAnyPosition(s *scene) {
	ctx := s.ctx()
	a, b := s.stream(), s.stream()
	head := headOf(ctx, s)
	var all []eventstore.Recorded
	for range 4 {
		for _, done := range s.append(ctx, write(a, eventstore.Any, 2), write(b, eventstore.Any, 1)) {
			all = append(all, done.Events...)
		}
	}
	s.same(all, s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{})))
	for i, e := range all {
		s.same(all[i+1:], s.read(s.Store.ReadAll(ctx, e.Position, eventstore.Filter{})))
		s.same(all[i:], s.read(s.Store.ReadAll(ctx, e.Position-1, eventstore.Filter{})))
	}
	require.Empty(s, s.read(s.Store.ReadAll(ctx, headOf(ctx, s), eventstore.Filter{})))
	require.Empty(s, s.read(s.Store.ReadAll(ctx, math.MaxInt64, eventstore.Filter{})))
	everything := s.read(s.Store.ReadAll(ctx, 0, eventstore.Filter{}))
	s.ascending(everything)
	s.same(all, everything[len(everything)-len(all):])
}

func readPageByPage(s *scene) {
	ctx := s.ctx()
	a, b := s.stream(), s.stream()
	head := headOf(ctx, s)
	for range 5 {
		s.append(ctx, write(a, eventstore.Any, 150), write(b, eventstore.Any, 150))
	}
	want := s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{}))
	require.Len(s, want, 1_500)
	for _, f := range []eventstore.Filter{{}, {Categories: []string{eventstore.Category(b)}}} {
		var got []eventstore.Recorded
		for at := head; ; at = got[len(got)-1].Position {
			before := len(got)
			for e, err := range s.Store.ReadAll(ctx, at, f) {
				require.NoError(s, err)
				if got = append(got, e); len(got) == before+77 {
					break
				}
			}
			if len(got) == before {
				break
			}
		}
		require.Equal(s, ids(matching(want, f)), ids(got))
	}
}

func matching(events []eventstore.Recorded, f eventstore.Filter) []eventstore.Recorded {
	var some []eventstore.Recorded
	for _, e := range events {
		if f.Matches(e.Stream, e.Type) {
			some = append(some, e)
		}
	}
	return some
}

// mixed appends events of three categories and types, and returns them with a
// category of each.
func (s *scene) mixed(ctx context.Context) (head eventstore.Position, categories []string, all []eventstore.Recorded) {
	s.Helper()
	head = headOf(ctx, s)
	for range 3 {
		categories = append(categories, s.unique())
	}
	for i := range 9 {
		// Streams of a category by hyphen, by more than one, and without any.
		stream := categories[i%3] + []string{"-1", "-2-b", ""}[i/3]
		w := write(stream, eventstore.Any, 3)
		for j := range w.Events {
			w.Events[j].Type = []string{"held", "sold", "Held"}[j]
		}
		all = append(all, s.append(ctx, w)[0].Events...)
	}
	return head, categories, all
}

func filters(categories []string) []eventstore.Filter {
	return []eventstore.Filter{
		{},
		{Categories: []string{}, Types: []string{}},
		{Categories: categories[:1]},
		{Categories: []string{categories[2], categories[0], categories[2]}},
		{Types: []string{"held"}},
		{Types: []string{"Held", "sold"}},
		{Categories: categories[1:2], Types: []string{"sold"}},
		{Categories: categories[1:], Types: []string{"sold", "held"}},
		{Categories: []string{categories[0] + "x", categories[0] + "-1"}},
		{Types: []string{"HELD"}},
		{Categories: categories[:1], Types: []string{"none"}},
		{Categories: []string{"none"}, Types: []string{"held"}},
	}
}

func readFiltered(s *scene) {
	ctx := s.ctx()
	head, categories, all := s.mixed(ctx)
	for _, f := range filters(categories) {
		s.same(matching(all, f), s.read(s.Store.ReadAll(ctx, head, f)))
		half := all[len(all)/2].Position
		s.same(matching(all[len(all)/2+1:], f), s.read(s.Store.ReadAll(ctx, half, f)))
	}
}

func filtersLiteral(s *scene) {
	ctx := s.ctx()
	name := s.unique()
	streams := []string{name + "a%-1", name + "ab-1", name + "a_-1", name + `a\-1`, name + "A_-1", name + "a_", name + " a-1", name + "a -1", name + "a-1"}
	head := headOf(ctx, s)
	var all []eventstore.Recorded
	for _, stream := range streams {
		w := write(stream, eventstore.None, 1)
		w.Events[0].Type = stream
		all = append(all, s.append(ctx, w)[0].Events...)
	}
	for _, stream := range streams {
		for _, f := range []eventstore.Filter{{Categories: []string{eventstore.Category(stream)}}, {Types: []string{stream}}, {Types: []string{stream + "%"}}} {
			s.same(matching(all, f), s.read(s.Store.ReadAll(ctx, head, f)))
		}
	}
	// What is no text is no event's name either.
	for _, name := range notText {
		for _, names := range [][]string{{name}, {name, streams[0], eventstore.Category(streams[0])}} {
			for _, f := range []eventstore.Filter{{Categories: names}, {Types: names}} {
				s.same(matching(all, f), s.read(s.Store.ReadAll(ctx, head, f)))
			}
		}
	}
}

func headAscends(s *scene) {
	s = s.alone()
	ctx := s.ctx()
	before := headOf(ctx, s)
	require.Empty(s, s.read(s.Store.ReadAll(ctx, 0, eventstore.Filter{})))
	for i := range 10 {
		done := s.append(ctx, write(s.stream(), eventstore.Any, 1+i%3), write(s.stream(), eventstore.Any, 1))
		require.Greater(s, done[0].Events[0].Position, before, "what comes after a head is beyond it")
		head := headOf(ctx, s)
		require.GreaterOrEqual(s, head, done[1].Position)
		before = head
	}
	stream := s.stream()
	_, err := s.Store.Append(ctx, write(stream, eventstore.Exists, 1))
	require.ErrorAs(s, err, new(*eventstore.ConflictError))
	require.GreaterOrEqual(s, headOf(ctx, s), before)
	require.Greater(s, s.append(ctx, write(stream, eventstore.Any, 1))[0].Position, before)
}

// headIsFinal looks at the head while others append. Whatever was read up to
// one is all that there is, to the end.
func headIsFinal(s *scene) {
	ctx := s.ctx()
	base := headOf(ctx, s)
	type look struct {
		head  eventstore.Position
		count int
	}
	looks := make([][]look, racers)
	streams := []string{s.stream(), s.stream()}
	s.race(func(i int) error {
		last := base
		for k := range 10 {
			if i%3 > 0 {
				done, err := s.Store.Append(ctx, write(streams[i%2], eventstore.Any, 1+(i+k)%3))
				if err != nil {
					return err
				}
				last = max(last, done[0].Position)
			}
			head, err := s.Store.Head(ctx)
			if err != nil {
				return err
			}
			if head < last {
				return fmt.Errorf("head is %d, after %d was appended or was the head", head, last)
			}
			last = head
			count := 0
			for e, err := range s.Store.ReadAll(ctx, base, eventstore.Filter{}) {
				if err != nil {
					return err
				}
				if e.Position > head {
					break
				}
				count++
			}
			looks[i] = append(looks[i], look{head, count})
		}
		return nil
	})
	all := s.read(s.Store.ReadAll(ctx, base, eventstore.Filter{}))
	s.ascending(all)
	for _, l := range slices.Concat(looks...) {
		count := 0
		for _, e := range all {
			if e.Position <= l.head {
				count++
			}
		}
		require.Equal(s, count, l.count, "events at or below head %d: in the end, and when it was seen", l.head)
	}
}
