package aggregate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// The host's reducer is explored: machines of two processes, which share a
// stream, with every order in which commands come, loads and appends are done
// and answered, and with what can go wrong.

// The aggregate is a section with some seats.
type (
	section  struct{ Sold, Last int }
	reserve  struct{ N, Seats int } // N tells commands apart
	reserved struct{ N, Seats int }
	sections struct{ seats int }
)

func (d sections) Decide(s *section, c reserve, _ reducer.Env) ([]reserved, error) {
	switch {
	case c.Seats == 0:
		return nil, nil
	case s.Sold+c.Seats > d.seats:
		return nil, Reject("sold-out", "%d are sold", s.Sold)
	}
	return []reserved{{c.N, c.Seats}}, nil
}

func (sections) Evolve(s *section, e reserved) {
	s.Sold += e.Seats
	s.Last = e.N
}

var reservations = func() *eventstore.Registry {
	r, err := eventstore.NewRegistry(eventstore.TypeOf[reserved]("section.reserved", 1))
	if err != nil {
		panic(err)
	}
	return r
}()

// told is what a caller was told.
type told struct {
	N        byte // of the order
	Version  eventstore.Version
	Position eventstore.Position
	State    section
	Events   int
	Err      string // "" for a success
	Replayed bool
}

// watched is a machine with what it has answered.
type watched struct {
	M       machine[section, reserve]
	Told    []told
	Failed  int  // appends that came too late
	Leaving byte // the order that was withdrawn last
}

// Clone copies what a machine changes: orders and what was told are only read.
func (s watched) Clone() watched {
	s.Told = slices.Clone(s.Told)
	s.M.flow = s.M.flow.Clone()
	s.M.line = slices.Clone(s.M.line)
	if s.M.batch != nil {
		b := *s.M.batch
		b.decisions = slices.Clone(b.decisions)
		for i := range b.decisions {
			r := *b.decisions[i].reply
			b.decisions[i].reply = &r
		}
		s.M.batch = &b
	}
	return s
}

// Clone is the action itself: all that it leads to is only read.
func (a action[S, C]) Clone() action[S, C] { return a }

// watching is the reducer of machines, which notes what is answered.
type watching struct {
	rules *rules[section, reserve, reserved]
}

func (r watching) Reduce(s *watched, a action[section, reserve], env reducer.Env) effect.Effect[action[section, reserve]] {
	switch {
	case a.kind == answer:
		p := a.payload.(*reply[section])
		t := told{N: p.of[0], Version: p.Version, Position: p.Position, State: p.State, Events: len(p.Events), Replayed: p.Replayed}
		if p.err != nil {
			t.Err = kindOf(p.err)
		}
		if p.err != nil && !isZero(p.Feedback) {
			t.Err = "both"
		}
		s.Told = append(s.Told, t)
	case a.kind == withdraw:
		s.Leaving = a.order.id[0]
	case a.kind == wasWithdrawn && a.verdict != unseen:
		s.Told = append(s.Told, told{N: s.Leaving, Err: [...]string{undone: "undone", underway: "underway"}[a.verdict]})
	case a.kind == wasAppended && a.payload != nil && IsConflict(a.payload.(error)):
		s.Failed++
	}
	return r.rules.Reduce(&s.M, a, env)
}

func isZero(f Feedback[section]) bool {
	return f.State == section{} && f.Version == 0 && f.Position == 0 && f.Events == nil && !f.Replayed
}

func kindOf(err error) string {
	switch {
	case IsRejection(err):
		return "rejected"
	case IsConflict(err):
		return "conflict"
	}
	return fmt.Sprintf("%T", err)
}

// table is the event store, as simple as can be.
type table struct {
	Log    []eventstore.Recorded
	Claims map[string]eventstore.Claim
}

func (w *table) Append(_ context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	for _, write := range writes {
		for i, e := range write.Events {
			if slices.ContainsFunc(write.Events[:i], func(other eventstore.Event) bool { return other.ID == e.ID }) {
				return nil, &eventstore.InputError{Field: "ID", Value: e.ID.String(), Want: "one that no other event has"}
			}
			if slices.ContainsFunc(w.Log, func(r eventstore.Recorded) bool { return r.ID == e.ID }) {
				return nil, &eventstore.DuplicateEventError{Stream: write.Stream, ID: e.ID}
			}
		}
	}
	var taken []eventstore.Claim
	for _, write := range writes {
		if write.Claim != nil {
			if c, found := w.Claims[write.Claim.Key]; found {
				taken = append(taken, c)
			}
		}
	}
	if len(taken) > 0 {
		return nil, &eventstore.ClaimedError{Claim: taken[0], More: taken[1:]}
	}
	appended := make([]eventstore.Appended, len(writes))
	for i, write := range writes {
		if at := eventstore.Version(len(w.Log)); len(write.Events) > 0 && !write.Expected.Allows(at) {
			return nil, &eventstore.ConflictError{Stream: write.Stream, Expected: write.Expected, Actual: at}
		}
		for _, e := range write.Events {
			n := len(w.Log) + 1
			r := eventstore.Recorded{ID: e.ID, Stream: write.Stream, Type: e.Type, Schema: e.Schema, Version: eventstore.Version(n), Position: eventstore.Position(10 * n), Data: e.Data, Meta: e.Meta}
			w.Log = append(w.Log, r)
			appended[i].Events = append(appended[i].Events, r)
		}
		if write.Claim != nil {
			if w.Claims == nil {
				w.Claims = map[string]eventstore.Claim{}
			}
			w.Claims[write.Claim.Key] = *write.Claim
		}
	}
	return appended, nil
}

func (w *table) ReadStream(_ context.Context, _ string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for _, e := range w.Log {
			if e.Version >= from && !yield(e, nil) {
				return
			}
		}
	}
}

func (w *table) ReadAll(context.Context, eventstore.Position, eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	panic("not used")
}

func (w *table) Subscribe(context.Context, eventstore.Position, eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	panic("not used")
}

func (w *table) Head(context.Context) (eventstore.Position, error) { panic("not used") }

// home does requests of machines on the table: the host's own handlers.
func (w *table) home() *home[section, reserve, reserved] {
	return &home[section, reserve, reserved]{decider: sections{}, registry: reservations, copy: func(s *section) section { return *s }, log: w, category: "section"}
}

func (w *table) load(q loadState[section]) (*loaded[section], error) {
	return w.home().load(context.Background(), q)
}

// lagging is a read model that does not know the last event.
func (w *table) lagging(q loadState[section]) (*loaded[section], error) {
	h := w.home()
	h.read = func(context.Context, string) (section, eventstore.Version, error) {
		known := max(len(w.Log)-1, 0)
		return w.fold(known), eventstore.Version(known), nil
	}
	return h.load(context.Background(), q)
}

func (w *table) append(q appendEvents) ([]eventstore.Recorded, error) {
	return w.home().append(context.Background(), q)
}

func (w *table) rebuild(q rebuild[section]) (*reply[section], error) {
	return w.home().rebuild(context.Background(), q)
}

// fold is the state after the first n events.
func (w *table) fold(n int) (s section) {
	for _, e := range w.Log[:n] {
		var r reserved
		if err := json.Unmarshal(e.Data, &r); err != nil {
			panic(err)
		}
		sections{}.Evolve(&s, r)
	}
	return s
}

// of are the events that the nth order has made happen.
func (w *table) of(n byte) (events []eventstore.Recorded) {
	for _, e := range w.Log {
		if e.Meta.CausationID[0] == n {
			events = append(events, e)
		}
	}
	return events
}

// processes are the machines of two.
type processes struct{ One, Two watched }

func (p *processes) all() []*watched { return []*watched{&p.One, &p.Two} }

func (p *processes) told(n byte) (all []told) {
	for _, s := range p.all() {
		for _, t := range s.Told {
			if t.N == n {
				all = append(all, t)
			}
		}
	}
	return all
}

// command is an order for the machine of a process.
func command(to string, n byte, c reserve, key string) testkit.Sent {
	id := uuid.UUID{n}
	o := &order[reserve]{id: id, command: c, meta: reducer.Meta{ActionID: id}, key: key}
	if key != "" {
		o.hash = fmt.Appendf(nil, "%v", c)
	}
	return testkit.To(to, action[section, reserve]{kind: submit, order: o})
}

func leaves(to string, n byte) testkit.Sent {
	return testkit.To(to, action[section, reserve]{kind: withdraw, order: &order[reserve]{id: uuid.UUID{n}}})
}

// seats is how many the section has.
const seats = 3

func modelOf(t *testing.T, cfg Config[section], inputs ...[]testkit.Sent) testkit.Model[processes, testkit.Sent, table] {
	t.Helper()
	cfg.Retry.Attempts = 2
	rules, err := rulesOf(sections{seats}, reservations, cfg.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	load := (*table).load
	if cfg.Load != nil {
		load = (*table).lagging
	}
	empty := processes{
		One: watched{M: machine[section, reserve]{stream: "section-A"}},
		Two: watched{M: machine[section, reserve]{stream: "section-A"}},
	}
	answers := []testkit.Answer{testkit.On(load, testkit.ReadOnly()), testkit.On((*table).append)}
	for _, in := range inputs {
		for _, s := range in {
			if a := s.Action.(action[section, reserve]); a.order != nil && a.order.key != "" && len(answers) == 2 {
				answers = append(answers, testkit.On((*table).rebuild, testkit.ReadOnly()))
			}
		}
	}
	return testkit.Model[processes, testkit.Sent, table]{
		State: empty,
		Stores: []testkit.Store[processes]{
			testkit.StoreOf("one", func(p *processes) *watched { return &p.One }, watching{rules}),
			testkit.StoreOf("two", func(p *processes) *watched { return &p.Two }, watching{rules}),
		},
		Inputs:  inputs,
		Answers: answers,
		// Nothing is kept but the stream. What was told stays told.
		Recover: func(crashed *processes) (processes, []testkit.Sent) {
			p := empty
			p.One.Told, p.Two.Told = crashed.One.Told, crashed.Two.Told
			return p, nil
		},
	}
}

// promises hold as long as no order comes twice.
func promises(orders ...byte) []testkit.Option {
	return append(safety(orders...), toldOnce(orders...)...)
}

// safety holds whatever happens.
func safety(orders ...byte) []testkit.Option {
	return []testkit.Option{
		testkit.Always("nothing is applied twice", func(_ *processes, w *table) bool {
			for _, n := range orders {
				if len(w.of(n)) > 1 {
					return false
				}
			}
			return true
		}),
		testkit.Always("never oversold", func(_ *processes, w *table) bool { return w.fold(len(w.Log)).Sold <= seats }),
		testkit.Always("versions are contiguous", func(_ *processes, w *table) bool {
			for i, e := range w.Log {
				if e.Version != eventstore.Version(i+1) {
					return false
				}
			}
			return true
		}),
		testkit.Always("the state is a fold of the stream", func(p *processes, w *table) bool {
			for _, s := range p.all() {
				if m := &s.M; m.known && (int(m.version) > len(w.Log) || m.state != w.fold(int(m.version))) {
					return false
				}
			}
			return true
		}),
		testkit.Always("feedback is durable, and a fold of the stream", func(p *processes, w *table) bool {
			for _, s := range p.all() {
				for _, t := range s.Told {
					if t.Err != "" {
						continue
					}
					if int(t.Version) > len(w.Log) || t.State != w.fold(int(t.Version)) || t.Position != eventstore.Position(10*t.Version) {
						return false
					}
					if t.Events > 0 && !t.Replayed && !slices.ContainsFunc(w.of(t.N), func(e eventstore.Recorded) bool { return e.Version == t.Version }) {
						return false
					}
				}
			}
			return true
		}),
		testkit.Always("error or state, never both", func(p *processes, _ *table) bool {
			for _, s := range p.all() {
				for _, t := range s.Told {
					if t.Err == "both" {
						return false
					}
				}
			}
			return true
		}),
	}
}

// toldOnce holds if no order comes twice.
func toldOnce(orders ...byte) []testkit.Option {
	return []testkit.Option{
		testkit.Always("told once", func(p *processes, _ *table) bool {
			for _, n := range orders {
				if len(p.told(n)) > 1 {
					return false
				}
			}
			return true
		}),
		testkit.Always("told nothing was done, nothing is done", func(p *processes, w *table) bool {
			for _, s := range p.all() {
				for _, t := range s.Told {
					if (t.Err == "rejected" || t.Err == "conflict" || t.Err == "undone") && len(w.of(t.N)) > 0 {
						return false
					}
				}
			}
			return true
		}),
	}
}

// allTold holds if there are no crashes.
func allTold(orders ...byte) testkit.Option {
	return testkit.Finally("everybody is told", func(p *processes, _ *table) bool {
		for _, n := range orders {
			if len(p.told(n)) != 1 {
				return false
			}
		}
		return true
	})
}

func nobodyWaits() testkit.Option {
	return testkit.Finally("nobody waits", func(p *processes, _ *table) bool {
		for _, s := range p.all() {
			if s.M.doing != nothing || s.M.batch != nil || len(s.M.line) > 0 {
				return false
			}
		}
		return true
	})
}

func inOrder(first, second byte) testkit.Option {
	return testkit.Always("the order of a caller is kept", func(_ *processes, w *table) bool {
		a, b := w.of(first), w.of(second)
		return len(a) == 0 || len(b) == 0 || a[0].Version < b[0].Version
	})
}

func sometimesTold(what string, is func(told) bool) testkit.Option {
	return testkit.Sometimes(what, func(p *processes, _ *table) bool {
		return slices.ContainsFunc(p.One.Told, is) || slices.ContainsFunc(p.Two.Told, is)
	})
}

// never is a time in which nothing times out.
func never() testkit.Option { return testkit.Timeouts(0) }

func TestExploreConflicts(t *testing.T) {
	t.Parallel()
	for _, freshness := range []Freshness{UntilInvalidated, EveryCommand} {
		t.Run(freshness.String(), func(t *testing.T) {
			t.Parallel()
			m := modelOf(t, Config[section]{Freshness: freshness},
				[]testkit.Sent{command("one", 1, reserve{1, 1}, ""), command("one", 2, reserve{2, 1}, "")},
				[]testkit.Sent{command("one", 3, reserve{3, 1}, "")},
				[]testkit.Sent{command("two", 4, reserve{4, 2}, "")})
			orders := []byte{1, 2, 3, 4}
			testkit.Explore(t, m, append(promises(orders...), allTold(orders...), nobodyWaits(), inOrder(1, 2), never(),
				testkit.Sometimes("all are sold", func(_ *processes, w *table) bool { return w.fold(len(w.Log)).Sold == seats }),
				testkit.Sometimes("an append comes too late", func(p *processes, _ *table) bool { return p.One.Failed > 0 && p.Two.Failed > 0 }),
				testkit.Sometimes("three are committed together", func(p *processes, _ *table) bool {
					return p.One.M.batch != nil && len(p.One.M.batch.decisions) == 3
				}),
				sometimesTold("one is sold out", func(x told) bool { return x.Err == "rejected" }),
			)...)
		})
	}
}

func TestExploreLostReplies(t *testing.T) {
	t.Parallel()
	m := modelOf(t, Config[section]{},
		[]testkit.Sent{command("one", 1, reserve{1, 1}, ""), command("one", 2, reserve{2, 2}, "")},
		[]testkit.Sent{command("two", 3, reserve{3, 1}, "")})
	orders := []byte{1, 2, 3}
	testkit.Explore(t, m, append(promises(orders...), allTold(orders...), nobodyWaits(), inOrder(1, 2), never(),
		testkit.LostReplies(2),
		sometimesTold("an outcome is unknown", func(x told) bool { return x.Err == "*aggregate.InterruptedError" }),
		testkit.Sometimes("an append is found to have happened", func(p *processes, w *table) bool {
			return p.Two.Failed == 0 && len(w.of(3)) == 1 && len(p.told(3)) == 1
		}),
	)...)
}

// An order that comes twice, which an Execute does not send, is applied once too.
func TestExploreDuplicates(t *testing.T) {
	t.Parallel()
	m := modelOf(t, Config[section]{},
		[]testkit.Sent{command("one", 1, reserve{1, 1}, ""), command("one", 2, reserve{2, 1}, "")},
		[]testkit.Sent{command("two", 3, reserve{3, 1}, "")})
	testkit.Explore(t, m, append(safety(1, 2, 3), nobodyWaits(), never(), testkit.Duplicates(1))...)
}

func TestExploreCrashes(t *testing.T) {
	t.Parallel()
	m := modelOf(t, Config[section]{},
		[]testkit.Sent{command("one", 1, reserve{1, 1}, ""), command("one", 2, reserve{2, 1}, "")},
		[]testkit.Sent{command("two", 3, reserve{3, 2}, "")})
	testkit.Explore(t, m, append(promises(1, 2, 3), nobodyWaits(), never(), testkit.Crashes(1), testkit.LostReplies(1))...)
}

func TestExploreTimeouts(t *testing.T) {
	t.Parallel()
	m := modelOf(t, Config[section]{},
		[]testkit.Sent{command("one", 1, reserve{1, 1}, ""), command("one", 2, reserve{2, 1}, "")},
		[]testkit.Sent{command("two", 3, reserve{3, 2}, "")})
	testkit.Explore(t, m, append(promises(1, 2, 3), allTold(1, 2, 3), nobodyWaits(), inOrder(1, 2), testkit.Timeouts(1))...)
}

var (
	errDown = &refusal{effect.Permanent(errors.New("event store is down"))}
	errBusy = &refusal{busy{}}
)

// busy is what an event store says that will not be for long.
type busy struct{}

func (busy) Error() string   { return "busy" }
func (busy) Retryable() bool { return true }

func TestExploreFailures(t *testing.T) {
	t.Parallel()
	m := modelOf(t, Config[section]{},
		[]testkit.Sent{command("one", 1, reserve{1, 1}, ""), command("one", 2, reserve{2, 1}, ""), command("one", 3, reserve{3, 1}, "")},
		[]testkit.Sent{command("two", 4, reserve{4, 2}, "")})
	m.Answers = []testkit.Answer{
		testkit.On((*table).load, testkit.ReadOnly(), testkit.Fails(errDown)),
		testkit.On((*table).append, testkit.Fails(errDown, errBusy)),
	}
	orders := []byte{1, 2, 3, 4}
	testkit.Explore(t, m, append(promises(orders...), allTold(orders...), nobodyWaits(), inOrder(1, 3), never(),
		testkit.Failures(2),
		testkit.Sometimes("two are decided again one by one", func(p *processes, _ *table) bool { return p.One.M.solo == 2 }),
		sometimesTold("a load fails", func(x told) bool { return x.Err == "*fmt.wrapError" }),
	)...)
}

func TestExploreKeys(t *testing.T) {
	t.Parallel()
	same := []testkit.Option{
		testkit.Always("done once", func(_ *processes, w *table) bool { return len(w.of(1))+len(w.of(2))+len(w.of(3)) <= 1 }),
		testkit.Always("all are told the same", func(p *processes, _ *table) bool {
			var first *told
			for _, n := range []byte{1, 2, 3} {
				for _, x := range p.told(n) {
					switch {
					case x.Err != "": // it lost its answer, or the other command took the key
					case first == nil:
						first = &x
					case x.Version != first.Version || x.State != first.State || x.Events != first.Events:
						return false
					}
				}
			}
			return true
		}),
		sometimesTold("one is told that it was done before", func(x told) bool { return x.Replayed }),
	}
	t.Run("two at once, and another", func(t *testing.T) {
		t.Parallel()
		m := modelOf(t, Config[section]{},
			[]testkit.Sent{command("one", 1, reserve{9, 2}, "k"), command("one", 2, reserve{9, 2}, "k")},
			[]testkit.Sent{command("two", 4, reserve{4, 2}, "k"), command("two", 3, reserve{9, 2}, "k")})
		testkit.Explore(t, m, append(append(promises(1, 2, 3, 4), same...), allTold(1, 2, 3, 4), nobodyWaits(), never(),
			sometimesTold("another command gets a conflict", func(x told) bool { return x.N == 4 && x.Err == "conflict" }),
			sometimesTold("another command takes the key", func(x told) bool { return x.N == 4 && x.Err == "" }),
		)...)
	})
	t.Run("lost replies and crashes", func(t *testing.T) {
		t.Parallel()
		m := modelOf(t, Config[section]{},
			[]testkit.Sent{command("one", 1, reserve{9, 2}, "k"), command("one", 4, reserve{4, 1}, "")},
			[]testkit.Sent{command("two", 3, reserve{9, 2}, "k")})
		testkit.Explore(t, m, append(append(promises(1, 3, 4), same...), nobodyWaits(), never(), testkit.LostReplies(1), testkit.Crashes(1))...)
	})
}

func TestExploreKeptRejections(t *testing.T) {
	t.Parallel()
	m := modelOf(t, Config[section]{},
		[]testkit.Sent{command("one", 1, reserve{9, seats + 1}, "k"), command("one", 2, reserve{2, 1}, "")},
		[]testkit.Sent{command("two", 3, reserve{9, seats + 1}, "k"), command("two", 4, reserve{4, 0}, "other")})
	m.Answers = m.Answers[:2] // rejections are told again from the claim alone
	testkit.Explore(t, m, append(promises(1, 2, 3, 4), allTold(1, 2, 3, 4), nobodyWaits(), never(), testkit.LostReplies(1),
		testkit.Always("the rejection is kept", func(p *processes, w *table) bool {
			for _, x := range append(p.told(1), p.told(3)...) {
				if x.Err == "rejected" && w.Claims["k"].Key == "" {
					return false
				}
			}
			return true
		}),
		sometimesTold("there is nothing to do", func(x told) bool { return x.N == 4 && x.Err == "" }),
	)...)
}

func TestExploreWithdrawals(t *testing.T) {
	t.Parallel()
	m := modelOf(t, Config[section]{},
		[]testkit.Sent{command("one", 1, reserve{1, 1}, ""), leaves("one", 1)},
		[]testkit.Sent{command("one", 2, reserve{2, 1}, ""), leaves("one", 2)},
		[]testkit.Sent{command("two", 3, reserve{3, 2}, "")})
	orders := []byte{1, 2, 3}
	testkit.Explore(t, m, append(promises(orders...), allTold(orders...), nobodyWaits(), never(),
		sometimesTold("the first leaves while its state is loaded", func(x told) bool { return x.N == 1 && x.Err == "undone" }),
		sometimesTold("one leaves while it is appended", func(x told) bool { return x.Err == "underway" }),
	)...)
}

func TestExploreReadModel(t *testing.T) {
	t.Parallel()
	lags := func(context.Context, string) (section, eventstore.Version, error) { return section{}, 0, nil }
	for _, freshness := range []Freshness{UntilInvalidated, EveryCommand} {
		t.Run(freshness.String(), func(t *testing.T) {
			t.Parallel()
			m := modelOf(t, Config[section]{Load: lags, Freshness: freshness},
				[]testkit.Sent{command("one", 1, reserve{1, 1}, ""), command("one", 2, reserve{2, 2}, "")},
				[]testkit.Sent{command("two", 3, reserve{3, 1}, ""), command("two", 4, reserve{4, 1}, "")})
			orders := []byte{1, 2, 3, 4}
			testkit.Explore(t, m, append(promises(orders...), allTold(orders...), nobodyWaits(), inOrder(1, 2), never(), testkit.LostReplies(1),
				testkit.Sometimes("the read model lags too much", func(p *processes, _ *table) bool { return p.One.Failed > 0 }),
			)...)
		})
	}
}
