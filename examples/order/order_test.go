package order_test

import (
	"errors"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/order"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

var update = flag.Bool("update", false, "write the golden file anew")

// Bank is what the requests act on.
type Bank struct {
	Charged, Refunded int
	Barred            bool // charges nothing for this order any more
}

var errDeclined = errors.New("card declined")

func (b *Bank) charge(order.Charge) (struct{}, error) {
	if b.Barred {
		return struct{}{}, errDeclined
	}
	b.Charged = 1 // once, however often it is asked to
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
		Recover: func(saved *order.Order) (order.Order, []order.Action) {
			return *saved, []order.Action{order.Resume{}}
		},
	}
}

var promises = []testkit.Option{
	testkit.Sometimes("an order is paid", func(o *order.Order, _ *Bank) bool {
		return o.Phase == order.Paid
	}),
	testkit.Finally("money is kept for paid orders only", func(o *order.Order, b *Bank) bool {
		return (b.Charged > b.Refunded) == (o.Phase == order.Paid)
	}),
}

func TestCareless(t *testing.T) {
	t.Parallel()
	_, failure, err := testkit.Search(model(order.Careless{}), promises...)
	require.NoError(t, err)
	require.Equal(t, lateCharge, failure.Steps)
	if *update {
		require.NoError(t, os.WriteFile("testdata/careless.txt", []byte(failure.String()+"\n"), 0o600))
	}
	want, err := os.ReadFile("testdata/careless.txt")
	require.NoError(t, err)
	require.Equal(t, string(want), failure.String()+"\n")
}

func TestCareful(t *testing.T) {
	t.Parallel()
	testkit.Explore(t, model(order.Careful{}), append(promises,
		testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1))...)
}

var lateCharge = []string{
	`send Place{ID: "o1"}`,
	`send Cancel{}`,
	`Charge{ID: "o1"} arrives late, nobody waits for it`,
}

func TestLateChargeIsRefunded(t *testing.T) {
	t.Parallel()
	testkit.Retrace(t, model(order.Careful{}), lateCharge, promises...)
}

func TestManyFaults(t *testing.T) {
	t.Parallel()
	m := model(order.Careful{})
	m.Inputs = append(m.Inputs, []order.Action{order.Cancel{}, order.Place{ID: "o1"}, order.Cancel{}})
	testkit.Simulate(t, m, append(promises,
		testkit.Crashes(5), testkit.LostReplies(10), testkit.Duplicates(10), testkit.FaultRate(0.5), testkit.Walks(500))...)
}
