package sagatest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
)

// A weekend is a stay, which is a saga of its own, and a ticket.
type (
	Stay    struct{ Nights, Room int }
	Weekend struct{ Room int }

	WeekendAction interface{ weekend() }
	PlanWeekend   struct{ Nights int }
	Lodged        struct {
		Room int
		Late bool
	}
	Homeless  struct{ Reason string }
	GotTicket struct{}
	SoldOut   struct{ Reason string }

	BookRoom   struct{ Nights int }
	FreeRoom   struct{}
	BuyTicket  struct{}
	SendRefund struct{}
)

func (PlanWeekend) weekend() {}
func (Lodged) weekend()      {}
func (Homeless) weekend()    {}
func (GotTicket) weekend()   {}
func (SoldOut) weekend()     {}

func (BookRoom) Returns(int)        {}
func (FreeRoom) Returns(struct{})   {}
func (BuyTicket) Returns(struct{})  {}
func (SendRefund) Returns(struct{}) {}

var Stays = saga.Steps("stay", saga.Step[Stay]{
	Do:   saga.Ask("book-room", func(s Stay) BookRoom { return BookRoom{s.Nights} }, func(s *Stay, room int) { s.Room = room }),
	Undo: saga.Ask("free-room", func(Stay) FreeRoom { return FreeRoom{} }, nil),
})

var weekendFx saga.Of[WeekendAction]

// weekends are sagas whose child has those options.
func weekends(opts ...saga.Option) *saga.Definition[Weekend, WeekendAction] {
	return saga.Define("weekend", reducer.Func[Weekend, WeekendAction](
		func(w *Weekend, a WeekendAction, _ reducer.Env) effect.Effect[WeekendAction] {
			switch a := a.(type) {
			case PlanWeekend:
				return weekendFx.Do(stay(a.Nights), opts...)
			case Lodged:
				if w.Room != 0 || a.Late {
					w.Room = a.Room
					return weekendFx.None()
				}
				w.Room = a.Room
				return weekendFx.Do(BuyTicket{})
			case GotTicket:
				return weekendFx.Complete()
			case Homeless:
				return weekendFx.Compensate(a.Reason)
			case SoldOut:
				return weekendFx.Compensate(a.Reason)
			}
			return weekendFx.None()
		}), saga.Types{
		Actions: []saga.ActionType{
			saga.Action[PlanWeekend]("plan"), saga.Action[Lodged]("lodged"), saga.Action[Homeless]("homeless"),
			saga.Action[GotTicket]("ticket"), saga.Action[SoldOut]("sold-out"),
		},
		Requests: []saga.RequestType{
			saga.OnChild("stay", Stays, func(_ saga.StepsAction, r saga.Reply[saga.Stepped[Stay]]) WeekendAction {
				if r.Err != nil {
					return Homeless{r.Err.Error()}
				}
				return Lodged{r.Value.Data.Room, r.Late}
			}, saga.Late()),
			saga.On("buy-ticket", func(_ BuyTicket, r saga.Reply[struct{}]) WeekendAction {
				if r.Err != nil {
					return SoldOut{r.Err.Error()}
				}
				return GotTicket{}
			}),
			saga.Request[SendRefund]("send-refund"),
		},
	})
}

func stay(nights int) saga.Child { return Stays.Child(saga.Begin[Stay]{Data: Stay{Nights: nights}}) }

func room(n int) saga.Stepped[Stay] { return saga.Stepped[Stay]{Data: Stay{Nights: 2, Room: n}} }

func TestChildCompletes(t *testing.T) {
	t.Parallel()
	s := sagatest.Begin(t, weekends(), PlanWeekend{2})
	s.Pending(stay(2))
	s.Crash() // the child is another saga, and lives on
	s.ChildCompleted(stay(2), room(12))
	s.Changed(func(w *Weekend) { w.Room = 12 })
	sagatest.Reply(s, BuyTicket{}, struct{}{})
	s.Ended(saga.Completed, "")
}

func TestChildThatHasCompletedIsUndone(t *testing.T) {
	t.Parallel()
	s := sagatest.Begin(t, weekends(), PlanWeekend{2})
	s.ChildCompleted(stay(2), room(12))
	s.Reject(BuyTicket{}, errors.New("sold out"))
	s.Pending(stay(2))
	s.Crash()
	s.Undone(stay(2))
	s.Ended(saga.Compensated, "sold out")
}

func TestChildIsCompensated(t *testing.T) {
	t.Parallel()
	s := sagatest.Begin(t, weekends(), PlanWeekend{2})
	s.Reject(stay(2), errors.New("no rooms"))
	s.Ended(saga.Compensated, "child saga was compensated: no rooms")
}

func TestChildIsTerminated(t *testing.T) {
	t.Parallel()
	s := sagatest.Begin(t, weekends(), PlanWeekend{2})
	s.Fail(stay(2), errors.New("an operator did"))
	s.Fail(stay(2), errors.New("an operator did")) // it cannot be undone either
	s.Stuck("cannot be undone any more: it is terminated")
}

func TestChildIsCancelledWhileItRuns(t *testing.T) {
	t.Parallel()
	s := sagatest.Begin(t, weekends(), PlanWeekend{2})
	s.Cancel("changed my mind")
	s.Late().ChildCompleted(stay(2), room(12)) // the cancellation was too late to stop it
	s.Changed(func(w *Weekend) { w.Room = 12 })
	s.Undone(stay(2))
	s.Ended(saga.Compensated, "changed my mind")
}

func TestChildIsNotWaitedForAnyLonger(t *testing.T) {
	t.Parallel()
	s := sagatest.Begin(t, weekends(saga.Timeout(time.Minute)), PlanWeekend{2})
	s.Advance(59 * time.Second)
	s.Pending(stay(2))
	s.Timeout(stay(2))
	s.Undone(stay(2))
	s.Ended(saga.Compensated, `child saga "stay/weekend/test/1/0": timed out`)

	s = sagatest.Begin(t, weekends(saga.Timeout(time.Minute)), PlanWeekend{2})
	s.Advance(time.Minute, Homeless{`child saga "stay/weekend/test/1/0": timed out`})
	s.Late().ChildCompleted(stay(2), room(12))
	s.Undone(stay(2))
	s.Ended(saga.Compensated, s.Snapshot().Reason)
}

// A child past its pivot is not undone by cancelling it.
func TestChildIsUndoneByOtherMeans(t *testing.T) {
	t.Parallel()
	s := sagatest.Begin(t, weekends(saga.Undo(SendRefund{})), PlanWeekend{2})
	s.ChildCompleted(stay(2), room(12))
	s.Reject(BuyTicket{}, errors.New("sold out"))
	s.Reject(stay(2), errors.New("there is no way back"))
	s.Undone(SendRefund{})
	s.Ended(saga.Compensated, "sold out")
}

func TestChildUndoesAnother(t *testing.T) {
	t.Parallel()
	s := sagatest.Begin(t, weekends(saga.Undo(stay(-2))), PlanWeekend{2})
	s.ChildCompleted(stay(2), room(12))
	s.Reject(BuyTicket{}, errors.New("sold out"))
	s.Reject(stay(2), errors.New("there is no way back"))
	s.Pending(stay(-2))
	s.ChildCompleted(stay(-2), room(0))
	s.Ended(saga.Compensated, "sold out")
}

func TestMisuseOfChildren(t *testing.T) {
	t.Parallel()
	begin := func(t *fakeT) *sagatest.Saga[Weekend, WeekendAction] {
		return sagatest.Begin(t, weekends(), PlanWeekend{2})
	}
	for name, row := range map[string]struct {
		test func(*fakeT)
		want []string
	}{
		"it is left open":              {func(f *fakeT) { begin(f) }, []string{`waits for Child{Type: "stay"`}},
		"another child":                {func(f *fakeT) { begin(f).ChildCompleted(stay(3), room(12)) }, []string{"is not being done", "-", "Nights: 3", "Nights: 2"}},
		"the state of another saga":    {func(f *fakeT) { begin(f).ChildCompleted(stay(2), Weekend{}) }, []string{"saga.Stepped[", "Stay], not a sagatest_test.Weekend"}},
		"a child's result comes later": {func(f *fakeT) { begin(f).Later(stay(2)) }, []string{"child", "Later"}},
		"it has no timeout":            {func(f *fakeT) { begin(f).Timeout(stay(2)) }, []string{"has no timeout"}},
		"an undo completes": {func(f *fakeT) {
			s := begin(f)
			s.Cancel("no")
			s.ChildCompleted(stay(2), room(12))
		}, []string{"was given up", "Late"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mentions(t, fails(t, row.test), row.want...)
		})
	}
}
