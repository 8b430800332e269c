package order_test

import (
	"errors"
	"testing"

	"github.com/seed57833328/rondo/examples/order"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// Bank is what the requests act on.
type Bank struct {
	Charged, Refunded int
	Barred            bool // takes nothing for this order any more
}

var errDeclined = errors.New("card declined")

func (b *Bank) charge(order.Charge) (struct{}, error) {
	switch {
	case b.Barred:
		return struct{}{}, errDeclined
	case b.Charged == 0:
		b.Charged++
	}
	return struct{}{}, nil
}

func (b *Bank) refund(order.Refund) (struct{}, error) {
	b.Barred = true
	b.Refunded = b.Charged
	return struct{}{}, nil
}

func model(r reducer.Reducer[order.Order, order.Action]) testkit.Model[order.Order, order.Action, Bank] {
	return testkit.Model[order.Order, order.Action, Bank]{
		Reducer: r,
		Inputs:  [][]order.Action{{order.Place{ID: "o1"}}, {order.Cancel{}}},
		Answers: []testkit.Answer{
			testkit.On((*Bank).charge, testkit.Fails(errDeclined)),
			testkit.On((*Bank).refund),
		},
	}
}

var promises = []testkit.Option{
	testkit.Always("charged once at most", func(_ *order.Order, b *Bank) bool { return b.Charged <= 1 }),
	testkit.Sometimes("an order is paid", func(o *order.Order, _ *Bank) bool { return o.Phase == order.Paid }),
	testkit.Finally("the money is where it belongs", func(o *order.Order, b *Bank) bool {
		return b.Charged-b.Refunded == map[bool]int{true: 1}[o.Phase == order.Paid]
	}),
	testkit.LostReplies(1), testkit.Duplicates(1),
}

func TestCareful(t *testing.T) {
	t.Parallel()
	testkit.Explore(t, model(order.Careful{}), promises...)
}

func TestCareless(t *testing.T) {
	t.Parallel()
	_, failure, err := testkit.Search(model(order.Careless{}), promises...)
	t.Log(err, failure)
}
