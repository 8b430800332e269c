package bugs

import (
	"errors"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// UndoBeforeDo is a seat that is held and released by a [Booking]. A hold that
// was given up may arrive after its release: then the seat is held by nobody's
// booking, for ever. In production: an event that is sold out, with empty seats
// in it, and more of them the slower the network was.
//
// Careful remembers the release, and refuses the hold that comes after it: a
// tombstone.
type UndoBeforeDo struct{ Careful bool }

// Seat is the state of UndoBeforeDo.
type Seat struct{ Held, Released bool }

type (
	// Hold keeps the seat; it is answered by SeatAnswer.
	Hold struct{}
	// Release gives it back, whether it was held or not.
	Release struct{}
	// SeatAnswer tells what came of either.
	SeatAnswer struct{ Err error }
)

// ErrReleased refuses a hold that was released before it came.
var ErrReleased = errors.New("released before")

// Reduce implements reducer.Reducer.
func (r UndoBeforeDo) Reduce(s *Seat, action any, _ reducer.Env) effect.Effect[any] {
	switch action.(type) {
	case Hold:
		if r.Careful && s.Released {
			return fx.Send(SeatAnswer{ErrReleased})
		}
		s.Held = true
		return fx.Send(SeatAnswer{})
	case Release:
		s.Held, s.Released = false, true
		return fx.Send(SeatAnswer{})
	}
	return fx.None()
}

// Booking holds the seat of UndoBeforeDo, and releases it when it has no answer
// in time. It is the same with and without the mistake: nothing it could do
// keeps a hold that is on its way from arriving.
type Booking struct{ Begun, Booked, Over bool }

type (
	// Book begins a booking.
	Book struct{}
	// SeatHeld tells what became of the hold.
	SeatHeld struct{ Err error }
	// SeatReleased tells what became of the release.
	SeatReleased struct{ Err error }
)

// HoldSeat asks the seat to be held.
type HoldSeat struct{}

// Returns names the result's type.
func (HoldSeat) Returns(struct{}) {}

// ReleaseSeat undoes it.
type ReleaseSeat struct{}

// Returns names the result's type.
func (ReleaseSeat) Returns(struct{}) {}

// Booker reduces a [Booking].
type Booker struct{}

// Reduce implements reducer.Reducer.
func (Booker) Reduce(b *Booking, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case Book:
		if b.Begun {
			return fx.None()
		}
		b.Begun = true
		return effect.Do(HoldSeat{}, func(r effect.Result[struct{}]) any { return SeatHeld{r.Err} }, effect.Timeout(10*time.Second))
	case SeatHeld:
		if a.Err == nil {
			b.Booked, b.Over = true, true
			return fx.None()
		}
		return release()
	case SeatReleased:
		if a.Err != nil {
			return release()
		}
		b.Over = true
	}
	return fx.None()
}

func release() effect.Effect[any] {
	return effect.Do(ReleaseSeat{}, func(r effect.Result[struct{}]) any { return SeatReleased{r.Err} })
}
