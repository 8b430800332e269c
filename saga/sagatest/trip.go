package sagatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
)

// trip is the saga that is run on a home: a room is held, a card charged and the
// room confirmed, or all of it undone.
type trip struct {
	Room  string
	Notes []string
}

type tripAction interface{ trip() }

type (
	book struct{ Wait time.Duration } // until it begins, with nothing but a timer
	set  struct{}
	held struct{ Room string }
	paid struct{}
	done struct{}
	fail struct{ Reason string }
	note struct{ Text string }
)

func (book) trip() {}
func (set) trip()  {}
func (held) trip() {}
func (paid) trip() {}
func (done) trip() {}
func (fail) trip() {}
func (note) trip() {}

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

var fx saga.Of[tripAction]

func reduceTrip(s *trip, a tripAction, _ reducer.Env) effect.Effect[tripAction] {
	switch a := a.(type) {
	case book:
		if a.Wait > 0 {
			return fx.After("begin", a.Wait, set{})
		}
		return fx.Send(set{})
	case set:
		return fx.Do(hold{}, saga.Undo(release{}))
	case held:
		s.Room = a.Room
		return fx.Do(charge(a), saga.Undo(refund(a)))
	case paid:
		return fx.All(fx.Pivot(), fx.Do(confirm{s.Room}))
	case done:
		return fx.Complete()
	case fail:
		return fx.Compensate(a.Reason)
	case note:
		s.Notes = append(s.Notes, a.Text)
	}
	return fx.None()
}

func after[R any](err error, then func(R) tripAction, value R) tripAction {
	if err != nil {
		return fail{err.Error()}
	}
	return then(value)
}

var trips = saga.Define("trip", reducer.Func[trip, tripAction](reduceTrip), saga.Types{
	Actions: []saga.ActionType{
		saga.Action[book]("book"), saga.Action[set]("set"), saga.Action[held]("held"), saga.Action[paid]("paid"),
		saga.Action[done]("done"), saga.Action[fail]("fail"), saga.Action[note]("note"),
	},
	Requests: []saga.RequestType{
		saga.On("hold", func(_ hold, r saga.Reply[string]) tripAction {
			return after(r.Err, func(room string) tripAction { return held{room} }, r.Value)
		}, quickly),
		saga.On("charge", func(_ charge, r saga.Reply[struct{}]) tripAction {
			return after(r.Err, func(struct{}) tripAction { return paid{} }, r.Value)
		}, quickly),
		saga.On("confirm", func(confirm, saga.Reply[struct{}]) tripAction { return done{} }, quickly),
		saga.Request[release]("release", quickly),
		saga.Request[refund]("refund", quickly),
	},
})

// quickly has failures tried again soon, so that tests need not wait.
var quickly = saga.Retry(saga.RetryPolicy{Attempts: 6, Delay: time.Millisecond, MaxDelay: 20 * time.Millisecond})

// world does what trips ask for, once for each key, undoes it in either order,
// and keeps a record of both that judges them.
type world struct {
	mu    sync.Mutex
	done  map[string]string   // request by key
	gone  map[string]bool     // keys that were undone or refused
	keys  map[string][]string // keys by saga and request
	calls int
	// before and after may fail a request before and after it has acted.
	before, after func(ctx context.Context, request, key string) error
}

func newWorld() *world {
	return &world{done: map[string]string{}, gone: map[string]bool{}, keys: map[string][]string{}}
}

var errRefused = saga.Rejected(errors.New("refused"))

func (w *world) act(ctx context.Context, request string) error {
	key := saga.EffectID(ctx)
	w.mu.Lock()
	w.calls++
	under := strings.Join(strings.Split(key, "/")[:2], "/") + " " + request
	if !slices.Contains(w.keys[under], key) {
		w.keys[under] = append(w.keys[under], key)
	}
	before, after := w.before, w.after
	w.mu.Unlock()
	if before != nil {
		if err := before(ctx, request, key); err != nil {
			return err
		}
	}
	w.mu.Lock()
	of, undo := strings.CutSuffix(key, "/undo")
	refused := !undo && w.gone[of]
	switch {
	case undo:
		w.gone[of] = true
	case !refused:
		w.done[of] = request
	}
	w.mu.Unlock()
	if refused {
		return errRefused
	}
	if after != nil {
		return after(ctx, request, key)
	}
	return nil
}

// called is how many requests were made.
func (w *world) called() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls
}

// refuse has a key refused for good, unless it is done.
func (w *world) refuse(key string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done[key] != "" {
		return nil
	}
	w.gone[key] = true
	return errRefused
}

// holds are the requests of a saga that are done and not undone, in order.
func (w *world) holds(id saga.ID) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := []string{}
	for key, request := range w.done {
		if strings.HasPrefix(key, id.String()+"/") && !w.gone[key] {
			all = append(all, request)
		}
	}
	slices.Sort(all)
	return all
}

// unstable are the requests that were made under several keys.
func (w *world) unstable() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for under, keys := range w.keys {
		if len(keys) > 1 {
			all = append(all, fmt.Sprint(under, keys))
		}
	}
	return all
}

func (w *world) handlers() []effect.Handler {
	nothing := struct{}{}
	return []effect.Handler{
		effect.Handle(func(ctx context.Context, _ hold) (string, error) {
			if err := w.act(ctx, "hold"); err != nil {
				return "", err
			}
			return "12", nil
		}),
		effect.Handle(func(ctx context.Context, _ release) (struct{}, error) { return nothing, w.act(ctx, "release") }),
		effect.Handle(func(ctx context.Context, _ charge) (struct{}, error) { return nothing, w.act(ctx, "charge") }),
		effect.Handle(func(ctx context.Context, _ refund) (struct{}, error) { return nothing, w.act(ctx, "refund") }),
		effect.Handle(func(ctx context.Context, _ confirm) (struct{}, error) { return nothing, w.act(ctx, "confirm") }),
	}
}
