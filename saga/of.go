package saga

import (
	"math"
	"time"

	"github.com/seed57833328/rondo/effect"
)

// Of makes the effects of a saga's reducer. Declare one beside it, so that A is
// written once:
//
//	var fx saga.Of[Action]
//
// What a reducer returns is carried out in the order in which it stands. It is
// made of these alone: anything else of package effect (Stream, Run, Hold,
// Sequence and so on) cannot be kept in a record, and leaves the saga Stuck with
// an error that names it. So does a key that is not UTF-8, which would be another
// after a restart.
type Of[A any] struct{}

// None is no effect.
func (Of[A]) None() effect.Effect[A] { return effect.Effect[A]{} }

// All is several effects.
func (Of[A]) All(effects ...effect.Effect[A]) effect.Effect[A] {
	return effect.Of[A]{}.All(effects...)
}

// Send reduces a in the same decision, after the action being reduced.
func (Of[A]) Send(a A) effect.Effect[A] { return effect.Of[A]{}.Send(a) }

// Do has a request done once the decision is committed, at least once, with a
// key that does not change: see [EffectID]. Its type is one of [Types].Requests,
// where the function stands that makes an action of the result. A saga that it
// waits for is a request too: see [Definition.Child].
func (Of[A]) Do(request any, opts ...Option) effect.Effect[A] {
	c := Command{Request: request}
	for _, o := range opts {
		if o.apply != nil {
			o.apply(&c)
		}
	}
	return effect.Fire[A](c)
}

// After reduces a when d has passed, also if the process ends meanwhile. It
// replaces a timer of the same key; with "" it replaces none and cannot be
// cancelled. A key that begins with # leaves the saga Stuck: those are of timers
// without one. No timer fires when the saga has ended.
func (Of[A]) After(key string, d time.Duration, a A) effect.Effect[A] {
	if key == "" {
		return effect.Of[A]{}.After(nil, d, a)
	}
	return effect.Of[A]{}.After(key, d, a)
}

// Cancel stops the timers under key and gives up the effects under it: what
// becomes of them is not known, so their undos stay, and a result that comes all
// the same is a late one: see [Late].
func (Of[A]) Cancel(key string) effect.Effect[A] { return effect.Of[A]{}.Cancel(key) }

// Compensate gives up what is pending, stops all timers and undoes what was
// done, the last first. While that goes on the reducer may still Do something;
// once all is undone and done, the saga has ended as Compensated. A saga that
// compensates already goes on. After a [Of.Pivot] or a [Of.Complete] there is no
// way back: then the saga is Stuck.
func (Of[A]) Compensate(reason string) effect.Effect[A] {
	return effect.Fire[A](Compensation{Reason: reason})
}

// Pivot is the point of no return. What was done is not undone any more, and
// what is not done yet is tried until it is: it no longer comes to the reducer
// that an outcome is unknown. While a saga compensates, it does nothing.
func (Of[A]) Pivot() effect.Effect[A] { return effect.Fire[A](Pivot{}) }

// Complete ends the saga once what is pending is done: timers stop, and nothing
// can be undone any more. While a saga compensates, it does nothing.
func (Of[A]) Complete() effect.Effect[A] { return effect.Fire[A](Completion{}) }

// Command is what [Of.Do] makes. Tests find it in the description of an effect.
type Command struct {
	// Request is what is to be done, Undo what undoes it; nil is nothing.
	Request, Undo any
	// Key is the key of Cancel, "" for none.
	Key string
	// Timeout and Retry are as registered if they are zero. A Timeout of less
	// than 0 is none.
	Timeout time.Duration
	Retry   *RetryPolicy

	late bool
}

// Compensation is what [Of.Compensate] makes.
type Compensation struct{ Reason string }

// Pivot is what [Of.Pivot] makes.
type Pivot struct{}

// Completion is what [Of.Complete] makes.
type Completion struct{}

// Returns names the result's type.
func (Command) Returns(struct{}) {}

// Returns names the result's type.
func (Compensation) Returns(struct{}) {}

// Returns names the result's type.
func (Pivot) Returns(struct{}) {}

// Returns names the result's type.
func (Completion) Returns(struct{}) {}

// Option says how a request is done: for a single one, given to [Of.Do], or for
// all of its type, given to [On] and [Request].
type Option struct {
	apply func(*Command)
}

// Undo names what undoes the request. It is kept from the moment the request is
// committed, before it is known what becomes of it, and dropped only if the
// request is rejected; so it may be done although the request never was, or
// before it. Whoever does it must allow for that: undo what was done, and refuse
// what comes later.
func Undo(request any) Option { return Option{func(c *Command) { c.Undo = request }} }

// Key puts the request under a key, by which [Of.Cancel] gives it up.
func Key(key string) Option { return Option{func(c *Command) { c.Key = key }} }

// Timeout bounds each attempt; 0 is as registered, which is 30 s by default, and
// less than 0 is no bound.
func Timeout(d time.Duration) Option { return Option{func(c *Command) { c.Timeout = d }} }

// Retry says how often, and when, the request is tried again.
func Retry(p RetryPolicy) Option { return Option{func(c *Command) { c.Retry = &p }} }

// Late has late results come to the function of [On], with [Reply].Late set: those
// of an effect that was given up, by Cancel, by Compensate or because its
// attempts had run out. Without it they change nothing but what is to be undone,
// so that a reducer which does not look at Late cannot go forward by mistake. A
// saga remembers the last 128 that it has given up: a result of one before is
// refused, and told to [Hooks].Refused if it was a message.
//
// It is for what cannot refuse to be done after it was undone, as a card that is
// charged after all: the reducer can then refund it with a request of its own. It
// is said for all of a type, to [On] or [OnChild].
func Late() Option { return Option{func(c *Command) { c.late = true }} }

// RetryPolicy says when an attempt that failed is followed by another. The zero
// value is ten attempts within about one and a half minutes. An error that is
// final ([effect.Retryable]) is not tried again, and a rejection is one.
//
// An undo, and what is done after a pivot, is tried without regard to Attempts,
// until the saga is Stuck ([Config].StuckAfter).
type RetryPolicy struct {
	// Attempts is how many there are at most, the first included; 0 is 10.
	Attempts int `json:"attempts,omitempty"`
	// Delay is the wait before the second attempt; 0 is 200 ms.
	Delay time.Duration `json:"delay,omitempty"`
	// MaxDelay bounds every wait, jitter included; 0 is 30 s, or Delay if that is
	// longer.
	MaxDelay time.Duration `json:"maxDelay,omitempty"`
	// Factor is what a wait is multiplied with for the next; 0 is 2, 1 keeps it.
	Factor float64 `json:"factor,omitempty"`
	// Jitter spreads each wait over ±Jitter of itself, at most 1; 0 is 0.2, and
	// less than 0 is none. It is drawn from the effect's key and the attempt, not
	// from chance, so that a repetition of the decision waits alike.
	Jitter float64 `json:"jitter,omitempty"`
}

const (
	defaultTimeout    = 30 * time.Second
	defaultAttempts   = 10
	defaultDelay      = 200 * time.Millisecond
	defaultMaxDelay   = 30 * time.Second
	defaultFactor     = 2
	defaultJitter     = 0.2
	defaultStuckAfter = 20
)

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.Attempts == 0 {
		p.Attempts = defaultAttempts
	}
	if p.Delay == 0 {
		p.Delay = defaultDelay
	}
	if p.MaxDelay == 0 {
		p.MaxDelay = max(defaultMaxDelay, p.Delay)
	}
	if p.Factor == 0 {
		p.Factor = defaultFactor
	}
	switch {
	case p.Jitter == 0:
		p.Jitter = defaultJitter
	case p.Jitter < 0:
		p.Jitter = 0
	}
	return p
}

func (p RetryPolicy) validate(field string) error {
	switch {
	case p.Attempts < 0:
		return inputError(field+".Attempts", show(p.Attempts), "at least 0")
	case p.Delay < 0:
		return inputError(field+".Delay", show(p.Delay), "at least 0")
	case p.MaxDelay < 0:
		return inputError(field+".MaxDelay", show(p.MaxDelay), "at least 0")
	case p.Factor != 0 && !(p.Factor >= 1 && p.Factor <= math.MaxFloat64):
		return inputError(field+".Factor", show(p.Factor), "0, or at least 1 and finite")
	case !(p.Jitter <= 1 && p.Jitter >= -math.MaxFloat64):
		return inputError(field+".Jitter", show(p.Jitter), "at most 1 and finite")
	}
	return nil
}

// wait is how long to wait after that many attempts of an effect.
func (p RetryPolicy) wait(effectID string, attempts int) time.Duration {
	p = p.withDefaults()
	d := float64(p.Delay)
	for range attempts - 1 {
		if d *= p.Factor; d >= float64(p.MaxDelay) {
			break
		}
	}
	d = min(d, float64(p.MaxDelay))
	h := uint64(14695981039346656037)
	for i := range len(effectID) {
		h = (h ^ uint64(effectID[i])) * 1099511628211
	}
	h = (h ^ uint64(attempts)) * 1099511628211 //nolint:gosec // any number does
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	spread := float64(h>>11)/(1<<53)*2 - 1 // from -1 to 1
	if d *= 1 + p.Jitter*spread; d < float64(p.MaxDelay) {
		return time.Duration(d)
	}
	return p.MaxDelay
}
