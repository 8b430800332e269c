package sale

import (
	"context"
	"sync"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// Happening is a step of a reservation.
type Happening struct {
	At          time.Time
	Reservation ticket.Reservation
	Was, Is     reservation.State
}

// board knows how the reservations stand, as far as it is committed. Its methods
// may be called from any goroutine.
type board struct {
	watch func(Happening)

	mu     sync.Mutex
	stands map[ticket.Reservation]*standing
}

type standing struct {
	state    reservation.State
	sequence int64
	status   saga.Status
	waiting  []store.Signal // for the next step
}

func newBoard(watch func(Happening)) *board {
	return &board{watch: watch, stands: map[ticket.Reservation]*standing{}}
}

// load takes in what there is.
func (b *board) load(ctx context.Context, sagas saga.Store) error {
	return eachReservation(ctx, sagas, func(id ticket.Reservation, r saga.Record, state reservation.State) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.stands[id] = &standing{state: state, sequence: r.Sequence, status: r.Status}
	})
}

// saw takes in a record that was committed.
func (b *board) saw(r *saga.Record) {
	if r.ID.Type != reservation.Saga.Name() {
		return
	}
	state, err := reservation.Saga.State(saga.Snapshot{Record: *r})
	if err != nil {
		return // the runner has the same difficulty, and tells
	}
	state = reservation.Standing(state, r.Status)
	id := ticket.Reservation(r.ID.Key)
	b.mu.Lock()
	s := b.stands[id]
	if s == nil {
		s = &standing{}
		b.stands[id] = s
	}
	if r.Sequence <= s.sequence {
		b.mu.Unlock()
		return
	}
	was := s.state
	s.state, s.sequence, s.status = state, r.Sequence, r.Status
	for _, w := range s.waiting {
		w.Fire()
	}
	s.waiting = nil
	b.mu.Unlock()
	b.watch(Happening{r.Updated, id, was, state})
}

func (b *board) get(id ticket.Reservation) (reservation.State, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.stands[id]; s != nil {
		return s.state, true
	}
	return reservation.State{}, false
}

// until waits until a reservation that is there stands as wanted. When ctx ends it
// returns how it stands then.
func (b *board) until(ctx context.Context, id ticket.Reservation, want func(reservation.State, saga.Status) bool) (reservation.State, error) {
	for {
		b.mu.Lock()
		s := b.stands[id]
		if s == nil {
			b.mu.Unlock()
			return reservation.State{}, saga.ErrNotFound
		}
		state := s.state
		if want(state, s.status) {
			b.mu.Unlock()
			return state, nil
		}
		w := store.RuntimeOf(ctx).NewSignal()
		s.waiting = append(s.waiting, w)
		b.mu.Unlock()
		if err := w.Wait(ctx); err != nil {
			return state, err
		}
	}
}

// count adds the reservations to a tally.
func (b *board) count(t *Tally) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.stands {
		switch s.state.Phase {
		case reservation.Completed:
			t.Completed++
		case reservation.Failed:
			t.Failed++
		case reservation.Cancelled:
			t.Cancelled++
		default:
			t.Open++
		}
		if s.status == saga.Stuck {
			t.Stuck++
		}
	}
}

// watched is a store of sagas that shows a board what is committed.
type watched struct {
	saga.Store
	board *board
}

// Commit commits, and shows what was.
func (w *watched) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	verdicts, err := w.Store.Commit(ctx, changes)
	for i, v := range verdicts {
		if v == saga.Committed {
			w.board.saw(&changes[i].Record)
		}
	}
	return verdicts, err
}

// Load loads, and shows what was committed without an answer.
func (w *watched) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	r, found, err := w.Store.Load(ctx, id)
	if err == nil && found {
		w.board.saw(&r)
	}
	return r, found, err
}

// eachSaga lists sagas, page by page.
func eachSaga(ctx context.Context, sagas saga.Store, q saga.Query, f func(saga.Record) error) error {
	for q.Limit = 500; ; {
		page, err := sagas.List(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := f(r); err != nil {
				return err
			}
			q.After = r.ID
		}
		if len(page) < q.Limit {
			return nil
		}
	}
}

// eachReservation loads all reservations.
func eachReservation(ctx context.Context, sagas saga.Store, f func(ticket.Reservation, saga.Record, reservation.State)) error {
	return eachSaga(ctx, sagas, saga.Query{Type: reservation.Saga.Name()}, func(r saga.Record) error {
		r, found, err := sagas.Load(ctx, r.ID)
		if err != nil || !found {
			return err
		}
		state, err := reservation.Saga.State(saga.Snapshot{Record: r})
		if err == nil {
			f(ticket.Reservation(r.ID.Key), r, reservation.Standing(state, r.Status))
		}
		return err
	})
}
