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

// relay is a saga that has deeds done in transactions of its home: one leg after the
// other, a leg's deeds side by side. A deed named "outside" is done elsewhere.
type relay struct {
	Legs  [][]string // that are to come
	Waits int        // results that the present leg waits for
	Done  []string
	Notes []string
}

type (
	runRelay struct {
		Legs     [][]string
		Deadline time.Duration
	}
	passed  struct{ Result string }
	dropped struct{ Reason string }
	shouted struct{ Text string }
	tooLate struct{}

	// elsewhere is a request that no transaction has a part in.
	elsewhere struct{ Name string }
)

func (elsewhere) Returns(string) {}

var (
	relayFx saga.Of[any]
	relays  = saga.Define("relay", reducer.Func[relay, any](reduceRelay), saga.Types{
		Actions: []saga.ActionType{
			saga.Action[runRelay]("run"), saga.Action[passed]("passed"), saga.Action[dropped]("dropped"), saga.Action[shouted]("shouted"),
			saga.Action[tooLate]("too-late"),
		},
		Requests: []saga.RequestType{
			saga.On("deed", func(d Deed, r saga.Reply[string]) any { return passedOrDropped(d.Name, r) }, thrice),
			saga.On("elsewhere", func(e elsewhere, r saga.Reply[string]) any { return passedOrDropped(e.Name, r) }, thrice),
			saga.Request[Reversal]("reversal", quickly),
		},
		Errors: []saga.ErrorType{saga.Error("fumbled", errFumbled)},
	})
	thrice     = saga.Retry(saga.RetryPolicy{Attempts: 3, Delay: time.Millisecond, MaxDelay: 2 * time.Millisecond})
	errFumbled = errors.New("fumbled")
)

func passedOrDropped(name string, r saga.Reply[string]) any {
	switch {
	case errors.Is(r.Err, errFumbled):
		return dropped{name + " was fumbled"}
	case r.Err != nil:
		return dropped{name + ": " + r.Err.Error()}
	}
	return passed{r.Value}
}

func reduceRelay(s *relay, a any, _ reducer.Env) effect.Effect[any] {
	switch a := a.(type) {
	case runRelay:
		s.Legs = a.Legs
		if a.Deadline > 0 {
			return relayFx.All(relayFx.After("deadline", a.Deadline, tooLate{}), s.next())
		}
		return s.next()
	case passed:
		if a.Result == "panics" {
			panic("it is told to")
		}
		s.Done = append(s.Done, a.Result)
		if s.Waits--; s.Waits == 0 {
			return s.next()
		}
	case dropped:
		return relayFx.Compensate(a.Reason)
	case tooLate:
		return relayFx.Compensate("too late")
	case shouted:
		s.Notes = append(s.Notes, a.Text)
	}
	return relayFx.None()
}

func (s *relay) next() effect.Effect[any] {
	if len(s.Legs) == 0 {
		return relayFx.Complete()
	}
	var all []effect.Effect[any]
	for _, name := range s.Legs[0] {
		if strings.HasPrefix(name, "outside") {
			all = append(all, relayFx.Do(elsewhere{name}))
		} else {
			all = append(all, relayFx.Do(Deed{name}, saga.Undo(Reversal{name})))
		}
	}
	s.Waits, s.Legs = len(all), s.Legs[1:]
	return relayFx.All(all...)
}

// legs are those of a relay: a space between legs, a plus between deeds.
func legs(text string) (all [][]string) {
	for leg := range strings.FieldsSeq(text) {
		all = append(all, strings.Split(leg, "+"))
	}
	return all
}

// runners do what relays ask for. What a deed does besides writing its line depends
// on its name, and on what a test has set for it.
type runners struct {
	ledger *Ledger

	mu    sync.Mutex
	calls map[string]int // by saga and deed
	// meets are called by deeds of that name, before they write.
	meets map[string]func(ctx context.Context, call int) error
}

func (r *runners) meet(name string, f func(ctx context.Context, call int) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.meets == nil {
		r.meets = map[string]func(context.Context, int) error{}
	}
	r.meets[name] = f
}

func (r *runners) called(key, name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[key+" "+name]
}

func relayKey(ctx context.Context) string { return relayKeyOf(saga.EffectID(ctx)) }

func relayKeyOf(effectID string) string { return strings.Split(effectID, "/")[1] }

func (r *runners) do(ctx context.Context, name string, write Write) (string, error) {
	key := relayKey(ctx)
	r.mu.Lock()
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	r.calls[key+" "+name]++
	call, meets := r.calls[key+" "+name], r.meets[name]
	r.mu.Unlock()
	if meets != nil {
		if err := meets(ctx, call); err != nil {
			return "", err
		}
	}
	if write != nil {
		if err := write(key + ": " + name); err != nil {
			return "", err
		}
	}
	switch {
	case name == "fails", name == "fails-once" && saga.Attempt(ctx) == 1:
		return "", fmt.Errorf("attempt %d has failed", saga.Attempt(ctx))
	case name == "fumbles":
		return "", saga.Rejected(fmt.Errorf("in attempt %d: %w", saga.Attempt(ctx), errFumbled))
	case name == "dies":
		panic("oh")
	}
	return name, nil
}

func (r *runners) handlers(s saga.Store) []effect.Handler {
	return []effect.Handler{
		r.ledger.Deeds(s, func(ctx context.Context, write Write, d Deed) (string, error) { return r.do(ctx, d.Name, write) }),
		r.ledger.Reversals(s, func(ctx context.Context, write Write, q Reversal) (struct{}, error) {
			return struct{}{}, write(relayKey(ctx) + ": undo " + q.Name)
		}),
		effect.Handle(func(ctx context.Context, e elsewhere) (string, error) { return r.do(ctx, e.Name, nil) }),
	}
}

// of are the lines of one saga.
func linesOf(all []string, key string) []string {
	mine := []string{}
	for _, line := range all {
		if what, is := strings.CutPrefix(line, key+": "); is {
			mine = append(mine, what)
		}
	}
	return slices.Clip(mine)
}
