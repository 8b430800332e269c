package main

import (
	"errors"
	"testing"

	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

func TestADeclinedCardFreesItsSeat(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, State{Free: 1}, reducer.Func[State, Action](Reduce))
	ts.Send(Buy{"ann"}, func(s *State) { s.Free = 0 })
	ts.Send(Buy{"bob"}) // changes nothing: ann's card is being charged
	ts.Receive(SoldOut{"bob"})
	testkit.Fail(ts, Charge{"ann"}, errors.New("card declined"))
	ts.Receive(Declined{"ann"}, func(s *State) { s.Free = 1 })
}
