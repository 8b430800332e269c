package visits

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
	"github.com/seed57833328/rondo/testkit"
)

func TestSeated(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Visit{}, reducer.Func[Visit, Action](Reduce))
	ts.Send(Arrive{"ann", "stalls"}, func(v *Visit) { *v = Visit{"ann", "stalls", Holding} })
	testkit.Reply(ts, HoldSeat{"ann", "stalls"}, struct{}{})
	ts.Receive(SeatHeld{}, func(v *Visit) { v.Phase = Paying })
	ts.Send(Paid{}, func(v *Visit) { v.Phase = Seated })
}

func TestRefused(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Visit{}, reducer.Func[Visit, Action](Reduce))
	ts.Send(Arrive{"ann", "stalls"}, func(v *Visit) { *v = Visit{"ann", "stalls", Holding} })
	testkit.Fail(ts, HoldSeat{"ann", "stalls"}, &RefusedError{"sold out"})
	ts.Receive(NoSeat{"sold out"}, func(v *Visit) { v.Phase = Gone })
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Visit{}, reducer.Func[Visit, Action](Reduce))
	ts.Send(Arrive{"ann", "stalls"}, func(v *Visit) { *v = Visit{"ann", "stalls", Holding} })
	ts.Advance(10 * time.Second)
	ts.Receive(Unknown{effect.ErrTimeout}, func(v *Visit) { v.Phase = Leaving })
	testkit.Reply(ts, ReleaseSeat{"ann", "stalls"}, struct{}{})
	ts.Receive(SeatFree{}, func(v *Visit) { v.Phase = Gone })
}

func TestNotPaidInTime(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Visit{}, reducer.Func[Visit, Action](Reduce))
	ts.Send(Arrive{"ann", "stalls"}, func(v *Visit) { *v = Visit{"ann", "stalls", Holding} })
	testkit.Reply(ts, HoldSeat{"ann", "stalls"}, struct{}{})
	ts.Receive(SeatHeld{}, func(v *Visit) { v.Phase = Paying })
	ts.Advance(5 * time.Minute)
	ts.Receive(DeadlineDue{}, func(v *Visit) { v.Phase = Leaving })
	testkit.Fail(ts, ReleaseSeat{"ann", "stalls"}, errors.New("connection lost"))
	ts.Advance(time.Second)
	testkit.Reply(ts, ReleaseSeat{"ann", "stalls"}, struct{}{})
	ts.Receive(SeatFree{}, func(v *Visit) { v.Phase = Gone })
}

// The three rules for children.
func TestSection(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Section{Free: 1, Has: map[string]bool{}}, reducer.Func[Section, SectionAction](ReduceSection))
	ts.Send(Hold{"ann"}, func(s *Section) { s.Free = 0; s.Has["ann"] = true })
	ts.Receive(Held{})
	ts.Send(Hold{"ann"}) // twice is done once, and answered alike
	ts.Receive(Held{})
	ts.Send(Hold{"bob"})
	ts.Receive(Refused{"sold out"})
	ts.Send(Release{"ann"}, func(s *Section) { s.Free = 1; s.Has["ann"] = false })
	ts.Receive(Released{})
	ts.Send(Release{"cat"}, func(s *Section) { s.Has["cat"] = false }) // there is nothing to undo
	ts.Receive(Released{})
	ts.Send(Hold{"cat"}) // and its do comes too late
	ts.Receive(Refused{"given up"})
}

// slow is a section that takes a while for what it is told.
func slow(d time.Duration) reducer.Func[Section, SectionAction] {
	return func(s *Section, a SectionAction, env reducer.Env) effect.Effect[SectionAction] {
		e := ReduceSection(s, a, env)
		if _, ok := a.(Hold); ok {
			return sectionFx.Sequence(sectionFx.After(a, d, nil), e)
		}
		return e
	}
}

// phases counts the visits in each phase.
func (h *House) phases() map[Phase]int {
	n := map[Phase]int{}
	h.visits.Range(func(_ string, v *Visit) bool { n[v.Phase]++; return true })
	return n
}

func (h *House) arrive(ctx context.Context, visits int) error {
	for i := range visits {
		name := fmt.Sprint("c", i)
		if err := h.visits.Send(ctx, name, Arrive{name, "stalls"}); err != nil {
			return err
		}
	}
	return nil
}

// A handler that waits for a section leaves its place among the workers: with one
// worker twenty visits wait side by side.
func TestOneWorker(t *testing.T) {
	t.Parallel()
	require.NoError(t, sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		h, err := open(5, slow(5*time.Second), store.Config{Runtime: rt, Workers: 1})
		if err != nil {
			panic(err)
		}
		if err := h.arrive(ctx, 20); err != nil {
			t.Error(err)
		}
		_ = store.Sleep(ctx, 9*time.Second) // one after another, 100 s
		if n := h.phases(); n[Paying] != 5 || n[Gone] != 15 {
			t.Error(n)
		}
	}))
}

// A section that answers too late has done what it was told, and it is undone.
func TestTooSlow(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		require.NoError(t, sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
			h, err := open(5, slow(11*time.Second), store.Config{Runtime: rt})
			if err != nil {
				panic(err)
			}
			if err := h.arrive(ctx, 20); err != nil {
				t.Error(err)
			}
			_ = store.Sleep(ctx, time.Minute)
			free, _ := store.ViewKey(h.sections, "stalls", func(s *Section) int { return s.Free })
			if n := h.phases(); n[Gone] != 20 || free != 5 {
				t.Error(seed, n, free)
			}
		}))
	}
}

// Visits shut down before sections, so those on their way come to an end.
func TestClose(t *testing.T) {
	t.Parallel()
	require.NoError(t, sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		h, err := open(0, slow(5*time.Second), store.Config{Runtime: rt})
		if err != nil {
			panic(err)
		}
		if err := h.arrive(ctx, 3); err != nil {
			t.Error(err)
		}
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
		if n := h.phases(); n[Gone] != 3 {
			t.Error(n)
		}
	}))
}
