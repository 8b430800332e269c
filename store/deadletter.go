package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// DeadLetter is something that came to nothing without a result to say so: a
// [effect.Fire] that failed, an effect that made no sense, an action for a child
// that is not there, what shutdown or a panic cut short. It keeps the whole
// request or action, so that it can be sent again.
type DeadLetter[A any] struct {
	ID        uint64 // names it for Redeliver; ascending
	At        time.Time
	Store     string
	StoreKey  any // of a keyed store
	Err       error
	Key       any                // the effect's, if it had one
	Effect    effect.Description // of a request, a stream or an opaque function
	Action    A                  // of a timer or an action
	HasAction bool
	Meta      reducer.Meta // of the action that caused it; of an action from outside its own

	call    tree.Call[A]
	outside bool // an action from outside that was not reduced
}

// DeadLetterInfo tells hooks about a dead letter.
type DeadLetterInfo struct {
	ID      uint64
	Store   string
	Key     any    // of a keyed store
	Name    string // of a request its type, of an opaque function its name
	Request any
	Action  any
	Err     error
	Meta    reducer.Meta
}

// deadLetters keeps the last of them.
type deadLetters[A any] struct {
	mu      sync.Mutex
	limit   int
	last    uint64
	dropped uint64
	kept    []DeadLetter[A]
}

// bury keeps a dead letter and tells the hook.
func (s *Store[S, A]) bury(d DeadLetter[A]) {
	h := s.host
	d.At, d.Store, d.StoreKey = h.config.Runtime.Now(), h.config.Name, s.key
	if d.call != nil {
		d.Effect = describe(d.call)
	}
	d.ID = h.letters.keep(d)
	if told := h.config.Hooks.DeadLettered; told != nil {
		info := DeadLetterInfo{ID: d.ID, Store: d.Store, Key: d.StoreKey, Name: d.Effect.Name, Request: d.Effect.Request, Err: d.Err, Meta: d.Meta}
		if d.HasAction {
			info.Action = d.Action
		}
		h.guard(func() { told(info) })
	}
}

// keep keeps a letter under a new id, which it returns.
func (l *deadLetters[A]) keep(d DeadLetter[A]) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	d.ID = l.last
	if len(l.kept) == l.limit {
		l.kept[0] = DeadLetter[A]{}
		l.kept = l.kept[1:] // append moves the rest once in a while
		l.dropped++
	}
	l.kept = append(l.kept, d)
	return d.ID
}

// find returns the letter of an id that stands for store key.
func (l *deadLetters[A]) find(id uint64) (DeadLetter[A], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.kept, func(d DeadLetter[A]) bool { return d.ID == id })
	if i < 0 {
		return DeadLetter[A]{}, fmt.Errorf("%w: %d", ErrNoDeadLetter, id)
	}
	return l.kept[i], nil
}

// remove takes the letter of an id out; it reports false if it was not there.
func (l *deadLetters[A]) remove(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.kept)
	l.kept = slices.DeleteFunc(l.kept, func(d DeadLetter[A]) bool { return d.ID == id })
	return len(l.kept) < n
}

// restore puts back a letter that was taken out.
func (l *deadLetters[A]) restore(d DeadLetter[A]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) == l.limit { // it would have gone by now
		l.dropped++
		return
	}
	i, _ := slices.BinarySearchFunc(l.kept, d.ID, func(e DeadLetter[A], id uint64) int { return cmp.Compare(e.ID, id) })
	l.kept = slices.Insert(l.kept, i, d)
}

func (l *deadLetters[A]) list() []DeadLetter[A] {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kept)
}

// DeadLetters returns the dead letters that are kept, oldest first.
func (s *Store[S, A]) DeadLetters() []DeadLetter[A] { return s.host.letters.list() }

// Adopt keeps dead letters of another store as this store's own, under new ids:
// so what a store left that was shut down or has stopped can be redelivered.
func (s *Store[S, A]) Adopt(letters ...DeadLetter[A]) {
	for _, d := range letters {
		s.host.letters.keep(d)
	}
}

// Redeliver takes a dead letter out and does it again: its request is started
// anew, its action is sent. It returns [ErrNoDeadLetter] for an id that is not
// there, or why the store refuses; the letter is then kept.
func (s *Store[S, A]) Redeliver(ctx context.Context, id uint64) error {
	d, err := s.host.letters.find(id)
	if err != nil {
		return err
	}
	return s.redeliver(ctx, d)
}

func (s *Store[S, A]) redeliver(ctx context.Context, d DeadLetter[A]) error {
	if d.call == nil && !d.HasAction {
		return fmt.Errorf("dead letter %d has nothing to send again: %w", d.ID, d.Err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	letters := &s.host.letters
	if !letters.remove(d.ID) {
		return fmt.Errorf("%w: %d", ErrNoDeadLetter, d.ID) // another was faster
	}
	meta := d.Meta
	if d.call == nil {
		if !d.outside { // it was another action's
			meta.CausationID, meta.ActionID = meta.ActionID, uuid.Nil
		}
		err := s.send(reducer.WithMeta(ctx, meta), d.Action, nil)
		if err != nil {
			letters.restore(d)
		}
		return err
	}
	again := func() {
		if s.left {
			letters.restore(d)
			return
		}
		// What asked was reduced before, by this store or one long gone.
		s.engine.Restart(d.call, engine.Cause{Parent: math.MaxUint64, Root: math.MaxUint64, Meta: &meta})
		s.pump()
	}
	s.mu.Lock()
	if s.end != nil {
		err := s.refusal()
		s.mu.Unlock()
		letters.restore(d)
		return err
	}
	s.put(message[A]{op: again})
	return nil
}
