package processtest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
)

// errand is the saga that is run: a room is held, a card charged and the room
// confirmed; or the charge does not come about, and what was done is undone. Its
// key says which way it goes: see [wayOf].
type errand struct{ Room string }

type action interface{ errand() }

type (
	begin     struct{ Wait time.Duration } // until it goes off, with nothing but a timer
	goOff     struct{}
	held      struct{ Room string }
	charged   struct{}
	confirmed struct{}
	failed    struct{ Reason string }
)

func (begin) errand()     {}
func (goOff) errand()     {}
func (held) errand()      {}
func (charged) errand()   {}
func (confirmed) errand() {}
func (failed) errand()    {}

type (
	hold    struct{}
	release struct{}
	charge  struct{ Room string }
	refund  struct{ Room string }
	confirm struct{ Room string }
)

func (hold) Returns(string)      {}
func (release) Returns(struct{}) {}
func (charge) Returns(struct{})  {}
func (refund) Returns(struct{})  {}
func (confirm) Returns(struct{}) {}

var fx saga.Of[action]

func reduce(s *errand, a action, _ reducer.Env) effect.Effect[action] {
	switch a := a.(type) {
	case begin:
		if a.Wait > 0 {
			return fx.After("begin", a.Wait, goOff{})
		}
		return fx.Do(hold{}, saga.Undo(release{}))
	case goOff:
		return fx.Do(hold{}, saga.Undo(release{}))
	case held:
		s.Room = a.Room
		return fx.Do(charge(a), saga.Undo(refund(a)))
	case charged:
		return fx.All(fx.Pivot(), fx.Do(confirm{s.Room}))
	case confirmed:
		return fx.Complete()
	case failed:
		return fx.Compensate(a.Reason)
	}
	return fx.None()
}

func orFailed(err error, a action) action {
	if err != nil {
		return failed{err.Error()}
	}
	return a
}

// quickly has failures tried again soon. A charge that fails does so twice.
func quickly(attempts int) saga.Option {
	return saga.Retry(saga.RetryPolicy{Attempts: attempts, Delay: time.Millisecond, MaxDelay: 20 * time.Millisecond})
}

var errands = saga.Define("errand", reducer.Func[errand, action](reduce), saga.Types{
	Actions: []saga.ActionType{
		saga.Action[begin]("begin"), saga.Action[goOff]("go-off"), saga.Action[held]("held"),
		saga.Action[charged]("charged"), saga.Action[confirmed]("confirmed"), saga.Action[failed]("failed"),
	},
	Requests: []saga.RequestType{
		saga.On("hold", func(_ hold, r saga.Reply[string]) action { return orFailed(r.Err, held{r.Value}) }, quickly(100)),
		saga.On("charge", func(_ charge, r saga.Reply[struct{}]) action { return orFailed(r.Err, charged{}) }, quickly(2)),
		saga.On("confirm", func(confirm, saga.Reply[struct{}]) action { return confirmed{} }, quickly(100)),
		saga.Request[release]("release", quickly(100)),
		saga.Request[refund]("refund", quickly(100)),
	},
})

// way is how an errand goes.
type way string

const (
	happy    way = "happy"    // it completes
	declined way = "declined" // the charge is rejected, and the room released
	broken   way = "broken"   // the charge is done, but says it failed: it is refunded
	hanging  way = "hanging"  // it completes, and who has charged the card waits with saying so until it is told to go on
)

func wayOf(key string) way {
	name, _, _ := strings.Cut(key, "-")
	return way(name)
}

// keyOf is the key of the saga that an effect belongs to.
func keyOf(effectID string) string {
	_, rest, _ := strings.Cut(effectID, "/")
	key, _, _ := strings.Cut(rest, "/")
	return key
}

// handlers note every effect in the record, and then go the way of its saga.
func handlers(note func(ctx context.Context, request string) error) []effect.Handler {
	var nothing struct{}
	return []effect.Handler{
		effect.Handle(func(ctx context.Context, _ hold) (string, error) { return "12", note(ctx, "hold") }),
		effect.Handle(func(ctx context.Context, _ release) (struct{}, error) { return nothing, note(ctx, "release") }),
		effect.Handle(func(ctx context.Context, _ charge) (struct{}, error) {
			switch wayOf(keyOf(saga.EffectID(ctx))) {
			case declined:
				return nothing, saga.Rejected(errors.New("declined"))
			case broken:
				return nothing, errors.Join(note(ctx, "charge"), errors.New("no answer"))
			case happy, hanging:
			}
			return nothing, note(ctx, "charge")
		}),
		effect.Handle(func(ctx context.Context, _ refund) (struct{}, error) { return nothing, note(ctx, "refund") }),
		effect.Handle(func(ctx context.Context, _ confirm) (struct{}, error) { return nothing, note(ctx, "confirm") }),
	}
}

// expect is how an errand must have ended: its status, and which effects were done
// at least once, by request, with those that undo them.
func expect(w way) (saga.Status, []string) {
	switch w {
	case declined:
		return saga.Compensated, []string{"hold", "release"}
	case broken:
		return saga.Compensated, []string{"charge", "hold", "refund", "release"}
	case happy, hanging:
	}
	return saga.Completed, []string{"charge", "confirm", "hold"}
}
