package order_test

import (
	"testing"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/order"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// fast are an order and a bank with methods Clone and Hash.
type (
	fastOrder struct{ order.Order }
	fastBank  struct{ Bank }
)

func (o fastOrder) Clone() fastOrder { return o }

func (o fastOrder) Hash() uint64 {
	return fingerprint.Mix(fingerprint.String(o.ID), uint64(o.Phase))
}

func (b fastBank) Clone() fastBank { return b }

func (b fastBank) Hash() uint64 {
	h := fingerprint.Mix(uint64(b.Charged), uint64(b.Refunded)) //nolint:gosec // small
	if b.Barred {
		h = fingerprint.Mix(h, 1)
	}
	return h
}

type fastReducer struct{}

func (fastReducer) Reduce(o *fastOrder, a order.Action, env reducer.Env) effect.Effect[order.Action] {
	return order.Careful{}.Reduce(&o.Order, a, env)
}

var many = []testkit.Option{testkit.LostReplies(6), testkit.Duplicates(6), testkit.MaxStates(300_000)}

func manyInputs() (inputs [][]order.Action) {
	for range 6 {
		inputs = append(inputs, []order.Action{order.Place{ID: "o1"}, order.Cancel{}})
	}
	return inputs
}

func BenchmarkExplore(b *testing.B) {
	b.Run("clone and hash", func(b *testing.B) {
		explore(b, testkit.Model[fastOrder, order.Action, fastBank]{
			Reducer: fastReducer{},
			Inputs:  manyInputs(),
			Answers: []testkit.Answer{
				testkit.On(func(w *fastBank, q order.Charge) (struct{}, error) { return w.charge(q) }, testkit.Fails(errDeclined)),
				testkit.On(func(w *fastBank, q order.Refund) (struct{}, error) { return w.refund(q) }),
			},
		})
	})
	b.Run("reflection", func(b *testing.B) {
		m := model(order.Careful{})
		m.Inputs = manyInputs()
		explore(b, m)
	})
}

func explore[S, A, W any](b *testing.B, m testkit.Model[S, A, W]) {
	b.Helper()
	b.ReportAllocs()
	var transitions int
	var bytes int
	for b.Loop() {
		stats, failure, err := testkit.Search(m, many...)
		if err != nil || failure != nil {
			b.Fatal(err, failure)
		}
		transitions += stats.Transitions
		bytes = stats.BytesPerState
	}
	b.ReportMetric(float64(transitions)/b.Elapsed().Seconds(), "transitions/s")
	b.ReportMetric(float64(bytes), "bytes/state")
}
