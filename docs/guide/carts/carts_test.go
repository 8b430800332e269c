package carts

import (
	"testing"
	"time"

	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

func TestACartGoesWithItsTimer(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, State{Carts: map[string]Cart{"ann": {}, "bob": {}}}, Shop)
	ts.Send(InCart{"ann", AddSeat{"A1"}}, func(s *State) { s.Carts["ann"] = Cart{[]string{"A1"}} })
	ts.Send(InCart{"bob", AddSeat{"A2"}}, func(s *State) { s.Carts["bob"] = Cart{[]string{"A2"}} })

	ts.Send(Checkout{"ann"}, func(s *State) { // ends ann's timer, not bob's
		delete(s.Carts, "ann")
		s.Sold = []string{"A1"}
	})
	ts.Advance(10 * time.Minute)
	ts.Receive(InCart{"bob", Forgotten{}}, func(s *State) { delete(s.Carts, "bob") })

	ts.ExpectFault(reducer.ErrNoChild)
	ts.Send(InCart{"bob", AddSeat{"A3"}})
}

func TestThePressAndThePatronHaveCartsToo(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, State{Patron: &Cart{}}, Shop)
	ts.Send(InPress{AddSeat{"P1"}}, func(s *State) { s.Press.Seats = []string{"P1"} })
	ts.Send(InPatron{AddSeat{"B1"}}, func(s *State) { s.Patron.Seats = []string{"B1"} })
	ts.Advance(10 * time.Minute)
	ts.Receive(InPress{Forgotten{}}, func(s *State) { s.Press.Seats = nil })
	ts.Receive(InPatron{Forgotten{}}, func(s *State) { s.Patron.Seats = nil })
}
