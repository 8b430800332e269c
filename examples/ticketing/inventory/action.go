package inventory

import (
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// Action is what a section's store reduces: a [Command], an [Answer], or one of
// SectionLoaded, LoadFailed and HoldExpired.
type Action interface{ isAction() }

// Command asks a section for something: Hold, Confirm or Release.
type Command interface {
	Action
	at() ticket.Section
	of() ticket.Reservation
}

// Hold asks for seats: those chosen, or if there are none a Quantity of the best
// available. It is answered by [Held] or [Rejected].
type Hold struct {
	Reservation ticket.Reservation
	Section     ticket.Section
	Quantity    int
	Chosen      []ticket.Seat
}

// Confirm says that what the reservation holds is sold. It is answered by
// [Confirmed], or by [Rejected] when the hold is over.
type Confirm struct {
	Reservation ticket.Reservation
	Section     ticket.Section
}

// Release gives back what the reservation has, held or sold. It is answered by
// [Released], also when there was nothing.
type Release struct {
	Reservation ticket.Reservation
	Section     ticket.Section
}

// Answer is what came of a command: Held, Confirmed, Released or Rejected. The
// state has changed already when it is sent; it only tells.
type Answer interface {
	Action
	isAnswer()
}

// AsAnswer is how a handler asks: store.AskKey(ctx, sections, id, command, inventory.AsAnswer).
func AsAnswer(a Action) (Answer, bool) {
	answer, ok := a.(Answer)
	return answer, ok
}

// Held answers a Hold: these seats are kept, at this price together.
type Held struct {
	Reservation ticket.Reservation
	Seats       []ticket.Seat
	Price       ticket.Money
}

// Confirmed answers a Confirm.
type Confirmed struct {
	Reservation ticket.Reservation
	Seats       []ticket.Seat
}

// Released answers a Release. Seats are those that are free because of it.
type Released struct {
	Reservation ticket.Reservation
	Seats       []ticket.Seat
}

// Rejected answers any command. Nothing was changed.
type Rejected struct {
	Reservation ticket.Reservation
	Rejection   *ticket.RejectionError
}

// SectionLoaded brings the section that was asked for.
type SectionLoaded struct{ Section Section }

// LoadFailed tells that there is no section to be had.
type LoadFailed struct {
	Section   ticket.Section
	Rejection *ticket.RejectionError
}

// Resume goes on with a section whose process has started again, with the state
// that was saved. It must be the first action then.
type Resume struct{}

// HoldExpired ends a hold that nobody confirmed in time.
type HoldExpired struct{ Reservation ticket.Reservation }

func (Hold) isAction()          {}
func (Confirm) isAction()       {}
func (Release) isAction()       {}
func (Held) isAction()          {}
func (Confirmed) isAction()     {}
func (Released) isAction()      {}
func (Rejected) isAction()      {}
func (SectionLoaded) isAction() {}
func (LoadFailed) isAction()    {}
func (HoldExpired) isAction()   {}
func (Resume) isAction()        {}

func (Held) isAnswer()      {}
func (Confirmed) isAnswer() {}
func (Released) isAnswer()  {}
func (Rejected) isAnswer()  {}

func (c Hold) at() ticket.Section    { return c.Section }
func (c Confirm) at() ticket.Section { return c.Section }
func (c Release) at() ticket.Section { return c.Section }

func (c Hold) of() ticket.Reservation    { return c.Reservation }
func (c Confirm) of() ticket.Reservation { return c.Reservation }
func (c Release) of() ticket.Reservation { return c.Reservation }
