package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed57833328/rondo/reducer"
)

// Keyed hosts a store for each key. A store is made when its key is first used
// and passivated when it is idle: its state is given to Passivated and
// forgotten, and the next use makes a new one. What stores do never crosses
// keys; they share handlers and workers. Its methods may be called from any
// goroutine.
type Keyed[K comparable, S, A any] struct {
	host    *host[S, A]
	config  KeyedConfig[K, S]
	initial func(K) S
	seed    maphash.Seed
	shards  [shardCount]shard[K, S, A]

	live      atomic.Int64  // stores in memory
	instances atomic.Uint64 // stores ever made
	clock     atomic.Uint64 // advances with each store made and each sweep
	closed    atomic.Bool

	sweeping atomic.Bool
	marks    [2]uint64  // the clock at the last two sweeps
	mu       sync.Mutex // over timer
	timer    Timer      // that of the next sweep
}

// KeyedConfig is what may be said about a keyed store.
type KeyedConfig[K comparable, S any] struct {
	Config // of each of its stores; Workers and DeadLetters are for all together

	// MaxLive bounds the stores in memory. When a new one is needed beyond it,
	// one that is idle and has not been used for long is passivated; if none
	// is idle, the send gets ErrTooManyLive. 0 is no bound; negative values are
	// refused.
	MaxLive int
	// IdleAfter passivates a store in which nothing goes on and that has not
	// been used for that long, give or take half of it. 0 is never; negative
	// values are refused.
	IdleAfter time.Duration
	// Passivated is given the state of each store that is passivated, before
	// the key's next store is made. It must be quick and not use the keyed
	// store. Shutdown passivates none: what is left is seen by Range.
	Passivated func(K, S)
}

const shardCount = 256

type shard[K comparable, S, A any] struct {
	mu sync.RWMutex
	m  map[K]*resident[K, S, A]
	_  [24]byte // keeps neighbours' locks apart
}

// resident is a store in memory.
type resident[K comparable, S, A any] struct {
	Store[S, A]
	id   K
	nth  uint64        // of all that were made
	used atomic.Uint64 // the clock when it was last used
}

// NewKeyed makes a keyed store. initial gives the state of a new key; it is
// called once for each store that is made, must be quick and not use the keyed
// store. If it panics, so does what made the store necessary.
func NewKeyed[K comparable, S, A any](initial func(K) S, r reducer.Reducer[S, A], cfg KeyedConfig[K, S]) (*Keyed[K, S, A], error) {
	h, err := newHost(r, cfg.Config)
	if err != nil {
		return nil, err
	}
	fail := func(format string, args ...any) (*Keyed[K, S, A], error) {
		return nil, fmt.Errorf("keyed store %q: "+format, append([]any{h.config.Name}, args...)...)
	}
	switch {
	case initial == nil:
		return fail("initial is nil")
	case cfg.MaxLive < 0:
		return fail("KeyedConfig.MaxLive is %d, must not be negative", cfg.MaxLive)
	case cfg.IdleAfter < 0:
		return fail("KeyedConfig.IdleAfter is %v, must not be negative", cfg.IdleAfter)
	}
	h.many = true
	return &Keyed[K, S, A]{host: h, config: cfg, initial: initial, seed: maphash.MakeSeed()}, nil
}

// Send hands the store of key an action: see [Store.Send]. It can also return
// [ErrTooManyLive].
func (k *Keyed[K, S, A]) Send(ctx context.Context, key K, a A) error {
	for {
		r, err := k.resident(key)
		if err != nil {
			return err
		}
		if err = r.Send(ctx, a); !isGone(err) {
			return err
		}
	}
}

// SendAndSettle is [Store.SendAndSettle] of the store of key.
func (k *Keyed[K, S, A]) SendAndSettle(ctx context.Context, key K, a A) error {
	return k.with(key, func(s *Store[S, A]) error { return s.SendAndSettle(ctx, a) })
}

// Until is [Store.Until] of the store of key. While it waits, that store is not
// passivated.
func (k *Keyed[K, S, A]) Until(ctx context.Context, key K, pred func(*S) bool) error {
	return k.with(key, func(s *Store[S, A]) error { return s.Until(ctx, pred) })
}

// Passivate passivates the store of key now, if it is in memory, nothing goes on in
// it and nobody observes it or waits for its state. It tells whether it did.
func (k *Keyed[K, S, A]) Passivate(key K) bool {
	sh := k.shard(key)
	sh.mu.RLock()
	r := sh.m[key]
	sh.mu.RUnlock()
	return r != nil && k.passivate(r)
}

// Observe is [Store.Observe] of the store of key, which is not passivated until
// stop is called.
func (k *Keyed[K, S, A]) Observe(key K, o Observer[S, A]) (stop func(), err error) {
	err = k.with(key, func(s *Store[S, A]) error {
		stop = s.Observe(o)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.end != nil {
			return s.refusal()
		}
		return nil
	})
	return stop, err
}

// AskKey is [Ask] of the store of key.
func AskKey[K comparable, S, A, R any](ctx context.Context, k *Keyed[K, S, A], key K, a A, match func(A) (R, bool)) (answer R, err error) {
	err = k.with(key, func(s *Store[S, A]) error {
		answer, err = Ask(ctx, s, a, match)
		return err
	})
	return answer, err
}

// ViewKey is [View] of the store of key, if it is in memory; it makes none.
func ViewKey[K comparable, S, A, T any](k *Keyed[K, S, A], key K, f func(*S) T) (T, bool) {
	sh := k.shard(key)
	sh.mu.RLock()
	r := sh.m[key]
	sh.mu.RUnlock()
	if r == nil {
		var none T
		return none, false
	}
	return View(&r.Store, f), true
}

// Len is the number of stores in memory.
func (k *Keyed[K, S, A]) Len() int { return int(k.live.Load()) }

// Range calls f with the state of every store in memory, each between two of
// its actions, until f returns false. The order is not defined.
func (k *Keyed[K, S, A]) Range(f func(key K, state *S) bool) {
	k.each(func(r *resident[K, S, A]) bool {
		return View(&r.Store, func(s *S) bool { return f(r.id, s) })
	})
}

// DeadLetters returns the dead letters of all stores, oldest first. StoreKey
// tells whose each is.
func (k *Keyed[K, S, A]) DeadLetters() []DeadLetter[A] { return k.host.letters.list() }

// Adopt is [Store.Adopt]. Each letter stays that of its StoreKey.
func (k *Keyed[K, S, A]) Adopt(letters ...DeadLetter[A]) {
	for _, d := range letters {
		k.host.letters.keep(d)
	}
}

// Redeliver is [Store.Redeliver], in the store that the letter came from.
func (k *Keyed[K, S, A]) Redeliver(ctx context.Context, id uint64) error {
	d, err := k.host.letters.find(id)
	if err != nil {
		return err
	}
	key, ok := d.StoreKey.(K)
	if !ok {
		return fmt.Errorf("dead letter %d of store %q has StoreKey %v, want one of type %T", id, d.Store, d.StoreKey, key)
	}
	return k.with(key, func(s *Store[S, A]) error { return s.redeliver(ctx, d) })
}

// Health is [Store.Health] of all stores together.
func (k *Keyed[K, S, A]) Health() Health {
	h := k.host.health()
	if k.closed.Load() {
		h.Status = Stopped
		return h
	}
	if n := k.live.Load(); k.config.MaxLive > 0 && n >= int64(k.config.MaxLive) {
		h.degrade(fmt.Sprintf("%d stores are live, as many as may be", n))
	}
	if n := k.host.crashes.Load(); n > 0 {
		h.degrade(fmt.Sprintf("%d stores stopped by a panic", n))
	}
	return h
}

// Shutdown shuts every store down, side by side: see [Store.Shutdown]. The
// errors of several are joined.
func (k *Keyed[K, S, A]) Shutdown(ctx context.Context) error {
	k.closed.Store(true)
	k.mu.Lock()
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	all := k.all()
	var abandoned AbandonedError
	var errs []error
	for _, r := range all { // first refuse everywhere, then wait for each
		r.mu.Lock()
		if r.end == nil {
			r.beginEnd(ErrClosed)
		}
		r.mu.Unlock()
	}
	for _, r := range all {
		err := r.Shutdown(ctx)
		var a *AbandonedError
		switch {
		case errors.As(err, &a):
			abandoned.Cause = a.Cause
			abandoned.Running += a.Running
			abandoned.Abandoned = append(abandoned.Abandoned, a.Abandoned...)
		case err != nil && !isGone(err):
			errs = append(errs, fmt.Errorf("key %v: %w", r.id, err))
		}
	}
	k.host.pool.close()
	if abandoned.Cause != nil {
		errs = append(errs, &abandoned)
	}
	return errors.Join(errs...)
}

// with calls f with the store of key, again if it was passivated under way.
func (k *Keyed[K, S, A]) with(key K, f func(*Store[S, A]) error) error {
	for {
		r, err := k.resident(key)
		if err != nil {
			return err
		}
		if err = f(&r.Store); !isGone(err) {
			return err
		}
	}
}

func isGone(err error) bool { return err == errPassivated } //nolint:errorlint // the sentinel itself

func (k *Keyed[K, S, A]) shard(key K) *shard[K, S, A] {
	return &k.shards[maphash.Comparable(k.seed, key)%shardCount]
}

// resident returns the store of key, made if there is none.
func (k *Keyed[K, S, A]) resident(key K) (*resident[K, S, A], error) {
	sh := k.shard(key)
	sh.mu.RLock()
	r := sh.m[key]
	sh.mu.RUnlock()
	if r != nil {
		if now := k.clock.Load(); r.used.Load() != now {
			r.used.Store(now)
		}
		return r, nil
	}
	for {
		r, err := k.make(sh, key)
		if r != nil || err != nil {
			return r, err
		}
		if k.evict() {
			continue
		}
		// None was idle; but one may have gone by itself meanwhile.
		if r, err := k.make(sh, key); r != nil || err != nil {
			return r, err
		}
		return nil, fmt.Errorf("keyed store %q: %w: %d", k.host.config.Name, ErrTooManyLive, k.config.MaxLive)
	}
}

// make returns the store of key, made if there is none; nil if there is no room
// for it.
func (k *Keyed[K, S, A]) make(sh *shard[K, S, A], key K) (*resident[K, S, A], error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch {
	case sh.m[key] != nil:
		return sh.m[key], nil
	case k.closed.Load(): // Shutdown does not see what is made from here on
		return nil, ErrClosed
	case key != key: //nolint:gocritic // a NaN
		return nil, fmt.Errorf("keyed store %q: key %v does not equal itself and would never be found again", k.host.config.Name, key)
	}
	for counted := false; !counted; {
		n := k.live.Load()
		if k.config.MaxLive > 0 && n >= int64(k.config.MaxLive) {
			return nil, nil //nolint:nilnil // no room is neither
		}
		counted = k.live.CompareAndSwap(n, n+1)
	}
	r := &resident[K, S, A]{id: key, nth: k.instances.Add(1)}
	defer func() {
		if sh.m[key] == nil { // initial panicked
			k.live.Add(-1)
		}
	}()
	r.host, r.key = k.host, key
	r.used.Store(k.clock.Add(1))
	r.engine.Init(&k.host.engine, r.nth, k.initial(key))
	if k.host.hash != nil {
		r.scribe = newScribe(k.host, key, &r.engine.State)
	}
	if sh.m == nil {
		sh.m = map[K]*resident[K, S, A]{}
	}
	sh.m[key] = r
	k.schedule()
	return r, nil
}

// each calls f with every store in memory until it returns false.
func (k *Keyed[K, S, A]) each(f func(*resident[K, S, A]) bool) {
	if k.host.simulated {
		for _, r := range k.all() {
			if !f(r) {
				return
			}
		}
		return
	}
	for i := range k.shards {
		for _, r := range k.shards[i].residents() {
			if !f(r) {
				return
			}
		}
	}
}

// all are the stores in memory, in the order in which they were made.
func (k *Keyed[K, S, A]) all() []*resident[K, S, A] {
	var all []*resident[K, S, A]
	for i := range k.shards {
		all = append(all, k.shards[i].residents()...)
	}
	slices.SortFunc(all, func(a, b *resident[K, S, A]) int { return cmp.Compare(a.nth, b.nth) })
	return all
}

func (sh *shard[K, S, A]) residents() []*resident[K, S, A] {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	all := make([]*resident[K, S, A], 0, len(sh.m))
	for _, r := range sh.m {
		all = append(all, r)
	}
	return all
}
