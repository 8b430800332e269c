package command

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/eventstore"
)

// world is a log with commands in it, an agenda that reads it, and those that work
// at what the agenda says. It does by itself what Run does around the agenda.
type world struct {
	*rapid.T
	now      time.Time
	log      []logged
	commands map[ref]*truth
	agenda   *agenda
	read     int // events of the log that were told, from where reading began
	current  int // up to where they are before anything is begun
	working  []*entry
	order    map[string][]ref // by key, as they were begun first
}

type logged struct {
	ref      ref
	event    eventstore.Recorded
	progress *progress // nil if it finishes the command
}

// truth is what has become of a command.
type truth struct {
	version  eventstore.Version
	position eventstore.Position // of the last event
	progress progress
	finished bool
	begun    bool
	notYet   time.Time // it must not be begun before
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const graceOfWorld = 20 * time.Second

func (w *world) append(r ref, p *progress) {
	c := w.commands[r]
	e := eventstore.Recorded{Version: c.version + 1, Position: eventstore.Position(len(w.log)*2 + 2), At: w.now}
	c.version, c.position = e.Version, e.Position
	if p == nil {
		c.finished = true
	} else {
		if p.First == 0 {
			p.First = e.Position
		}
		c.progress, c.notYet = *p, p.Next
		if p.Direct {
			c.notYet = w.now.Add(graceOfWorld)
		}
	}
	w.log = append(w.log, logged{r, e, p})
}

func (w *world) accept(t *rapid.T) {
	r := ref{rapid.SampledFrom([]string{"", "a"}).Draw(t, "tenant"), uuid.Must(uuid.FromBytes(fmt.Appendf(nil, "%016d", len(w.commands))))}
	p := progress{Since: w.now, Direct: rapid.Bool().Draw(t, "direct")}
	if !p.Direct {
		p.Key = rapid.SampledFrom([]string{"", "", "k", "l"}).Draw(t, "key")
		if rapid.Bool().Draw(t, "scheduled") {
			p.Since = w.now.Add(time.Duration(rapid.IntRange(-5, 100).Draw(t, "delay")) * time.Second)
			p.Next = p.Since
		}
	}
	w.commands[r] = &truth{}
	w.append(r, &p)
}

// tell tells the agenda of the next events.
func (w *world) tell(n int) {
	for ; n > 0 && w.read < len(w.log); n-- {
		l := w.log[w.read]
		w.read++
		w.agenda.tell(l.ref, l.event, l.progress)
	}
}

// begin has everything begun that the agenda says.
func (w *world) begin(most int) {
	if w.read < w.current {
		return
	}
	if after, ok := w.agenda.again(); ok {
		w.read = 0
		for w.read < len(w.log) && w.log[w.read].event.Position <= after {
			w.read++
		}
		w.current = len(w.log)
		return
	}
	w.agenda.wakeUp(w.now)
	for len(w.working) < most {
		e := w.agenda.next()
		if e == nil {
			return
		}
		c := w.commands[e.ref]
		for _, other := range w.working {
			if e.progress.Key != "" && other.tenant == e.tenant && other.progress.Key == e.progress.Key && !other.progress.Direct && !e.progress.Direct {
				w.Fatalf("two of key %q at once", e.progress.Key)
			}
		}
		w.working = append(w.working, e)
		if c.finished || c.version != e.version {
			continue // whoever works at it finds out
		}
		if w.now.Before(c.notYet) {
			w.Fatalf("begun %v too early", c.notYet.Sub(w.now))
		}
		if k := e.progress.Key; k != "" && !c.begun {
			w.order[e.tenant+k] = append(w.order[e.tenant+k], e.ref)
		}
		c.begun = true
	}
}

// finish has the nth of those at work be done in one of the ways there are.
func (w *world) finish(n int, way string) {
	e := w.working[n]
	w.working = append(w.working[:n], w.working[n+1:]...)
	c := w.commands[e.ref]
	switch {
	case c.finished || c.version != e.version: // by others
		w.agenda.done(e, c.version, time.Time{})
	case way == "trouble":
		at := w.now.Add(3 * time.Second)
		c.notYet = at
		w.agenda.done(e, 0, at)
	case way == "postpone":
		p := c.progress
		p.Attempts, p.Next, p.Direct = p.Attempts+1, w.now.Add(5*time.Second), false
		w.append(e.ref, &p)
		w.agenda.done(e, c.version, time.Time{})
	default:
		w.append(e.ref, nil)
		w.agenda.done(e, c.version, time.Time{})
	}
}

func (w *world) check() {
	checkpoint := w.agenda.checkpoint()
	for r, c := range w.commands {
		if !c.finished && c.position <= checkpoint {
			w.Fatalf("the checkpoint %d has passed command %s at %d", checkpoint, r.id, c.position)
		}
	}
	if len(w.agenda.asleep) > len(w.agenda.entries) || len(w.agenda.byPlace) != len(w.agenda.entries) {
		w.Fatalf("%d entries, %d asleep, %d in order", len(w.agenda.entries), len(w.agenda.asleep), len(w.agenda.byPlace))
	}
	if w.agenda.atWork != len(w.working) {
		w.Fatalf("%d at work, want %d", w.agenda.atWork, len(w.working))
	}
}

// Whatever happens in whatever order: nothing is begun too early or beside another
// of its key, the checkpoint passes nobody, and in the end everything is done.
func TestAgenda(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.SampledFrom([]int{4, 16, 1000}).Draw(rt, "limit")
		w := &world{
			T: rt, now: epoch, commands: map[ref]*truth{}, order: map[string][]ref{},
			agenda: newAgenda(limit, graceOfWorld, 0),
		}
		most := rapid.IntRange(1, 4).Draw(rt, "most")
		rt.Repeat(map[string]func(*rapid.T){
			"accept": w.accept,
			"tell":   func(t *rapid.T) { w.tell(rapid.IntRange(1, 10).Draw(t, "events")) },
			"begin":  func(*rapid.T) { w.begin(most) },
			"elapse": func(t *rapid.T) { w.now = w.now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "s")) * time.Second) },
			"finish": func(t *rapid.T) {
				if len(w.working) == 0 {
					t.Skip("nobody is at work")
				}
				w.finish(rapid.IntRange(0, len(w.working)-1).Draw(t, "which"), rapid.SampledFrom([]string{"done", "done", "postpone", "trouble"}).Draw(t, "way"))
			},
			"others finish": func(t *rapid.T) {
				for r, c := range w.commands {
					if !c.finished && r.id[15]%3 == 0 {
						w.append(r, nil)
						return
					}
				}
			},
			"carry": func(*rapid.T) {
				if e := w.agenda.stale(3, w.now); e != nil {
					w.working = append(w.working, e)
					c := w.commands[e.ref]
					if c.finished || c.version != e.version {
						w.finish(len(w.working)-1, "")
						return
					}
					p := c.progress
					w.append(e.ref, &p)
					w.working = w.working[:len(w.working)-1]
					w.agenda.done(e, c.version, time.Time{})
				}
			},
			"": func(*rapid.T) { w.check() },
		})
		// The calm in which everything has to be done.
		for range 10_000 {
			w.tell(len(w.log))
			w.begin(most)
			for len(w.working) > 0 {
				w.finish(0, "done")
			}
			w.check()
			w.now = w.now.Add(time.Second)
			if len(w.agenda.entries) == 0 && w.agenda.dropped == nil && w.read == len(w.log) {
				break
			}
		}
		for r, c := range w.commands {
			require.True(rt, c.finished, "%s is left: %+v", r.id, c)
		}
		if len(w.log) > 0 {
			require.Equal(rt, w.log[len(w.log)-1].event.Position, w.agenda.checkpoint())
		}
		require.Empty(rt, w.agenda.lanes)
		require.Empty(rt, w.agenda.asleep)
	})
}

// Those of a key are begun in the order in which they were due, also when there is
// room for a few only.
func TestAgendaKeepsTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{
			T: rt, now: epoch, commands: map[ref]*truth{}, order: map[string][]ref{},
			agenda: newAgenda(rapid.SampledFrom([]int{4, 16, 1000}).Draw(rt, "limit"), graceOfWorld, 0),
		}
		n := rapid.IntRange(1, 60).Draw(rt, "commands")
		for range n {
			w.accept(rt)
		}
		w.current = len(w.log)
		for range 1000 {
			w.tell(rapid.IntRange(1, 20).Draw(rt, "events"))
			w.begin(3)
			for len(w.working) > 0 {
				w.finish(0, rapid.SampledFrom([]string{"done", "postpone"}).Draw(rt, "way"))
			}
			w.now = w.now.Add(2 * time.Second)
			if w.now.After(epoch.Add(300*time.Second)) && len(w.agenda.entries) == 0 && w.agenda.dropped == nil && w.read == len(w.log) {
				break
			}
		}
		for key, refs := range w.order {
			for i := 1; i < len(refs); i++ {
				a, b := w.commands[refs[i-1]].progress, w.commands[refs[i]].progress
				if earlier(a, b) >= 0 {
					rt.Fatalf("of key %q %v was begun before %v", key, a, b)
				}
			}
		}
		for r, c := range w.commands {
			require.True(rt, c.finished, "%s is left: %+v", r.id, c)
		}
	})
}
