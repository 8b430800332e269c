package sagatest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
	"github.com/seed57833328/rondo/testkit"
)

// A test of one way that a reservation can go.
func ExampleBegin() {
	test := func(t testkit.T) {
		s := sagatest.Begin(t, Reservation, Reserve{Customer: "ann", Quantity: 2})
		s.Changed(func(o *Order) { o.Customer = "ann" })
		sagatest.Reply(s, HoldSeats{2}, []string{"A1", "A2"})
		s.Reject(Charge{10000}, errors.New("card declined"))
		s.Undone(ReleaseSeats{})
		s.Ended(saga.Compensated, "payment: card declined")
	}
	report(test)
	// Output:
	// ok
}

// A test that does not say how it goes on.
func ExampleBegin_open() {
	test := func(t testkit.T) {
		s := sagatest.Begin(t, Reservation, Reserve{Customer: "ann", Quantity: 2})
		sagatest.Reply(s, HoldSeats{2}, []string{"A1", "A2"})
		s.Timer("deadline", 5*time.Minute)
	}
	report(test)
	// Output:
	// sagatest: the test has ended, and this was not asserted:
	//
	//   waits for Charge{Cents: 10000}
	//
	// so far:
	//   1. Begin Reserve{Customer: "ann", Quantity: 2}
	//        running
	//        begun: HoldSeats{Quantity: 2}
	//   2. Reply HoldSeats{Quantity: 2}, ["A1", "A2"]
	//        reply, reduced Held{Seats: ["A1", "A2"]}
	//        begun: Charge{Cents: 10000}
	//
	// open:
	//        waits for Charge{Cents: 10000}
	//        timer "deadline" in 5m0s
}

// Crashes, failures and results that come too late, in a test.
func ExampleSaga_Crash() {
	test := func(t testkit.T) {
		s := sagatest.Begin(t, Reservation, Reserve{Customer: "ann", Quantity: 1})
		s.Crash() // the seats are asked for again, under the same key
		sagatest.Reply(s, HoldSeats{1}, []string{"A1"})
		s.Cancel("changed my mind")
		sagatest.Reply(s.Late(), Charge{5000}, struct{}{}) // it was charged after all
		s.Fail(Refund{5000}, errors.New("connection refused"))
		s.Advance(2 * time.Second)
		s.Undone(Refund{5000})
		s.Undone(ReleaseSeats{})
		s.Ended(saga.Compensated, "changed my mind")
	}
	report(test)
	// Output:
	// ok
}

// Bank is what charges and refunds act on: once for each key, in either order.
type Bank struct {
	Charged, Refunded []string
}

// ExampleModel explores a saga with a mistake: its charge has no undo, and what is
// charged after the deadline stays charged.
func ExampleModel() {
	model := func(t testkit.T, d *saga.Definition[Order, Action]) testkit.Model[sagatest.View[Order], sagatest.Event, Bank] {
		done := struct{}{}
		return sagatest.Model(t, d, sagatest.Setup[Bank]{
			Start: Reserve{Customer: "ann", Quantity: 1},
			Handlers: []sagatest.Handler[Bank]{
				sagatest.On(func(*Bank, string, HoldSeats) ([]string, error) { return []string{"A1"}, nil }),
				sagatest.On(func(*Bank, string, ReleaseSeats) (struct{}, error) { return done, nil }),
				sagatest.On(func(b *Bank, key string, _ Charge) (struct{}, error) {
					if slices.Contains(b.Refunded, key) {
						return done, saga.Rejected(errors.New("refunded"))
					}
					b.Charged = []string{key}
					return done, nil
				}),
				sagatest.On(func(b *Bank, key string, _ Refund) (struct{}, error) {
					b.Refunded = []string{strings.TrimSuffix(key, "/undo")}
					return done, nil
				}),
				sagatest.On(func(*Bank, string, PayBack) (struct{}, error) { return done, nil }),
				sagatest.On(func(*Bank, string, ConfirmSeats) (struct{}, error) { return done, nil }),
			},
		})
	}
	promise := testkit.Finally("paid if and only if completed", func(v *sagatest.View[Order], b *Bank) bool {
		paid := len(b.Charged) > 0 && !slices.Equal(b.Charged, b.Refunded)
		return paid == (v.Status == saga.Completed)
	})

	_, failure, err := testkit.Search(model(&fakeT{}, reservation(mistakes{NoRefund: true})), promise)
	fmt.Println(failure.Headline, err)
	for _, step := range failure.Steps {
		fmt.Println("-", step)
	}
	stats, failure, err := testkit.Search(model(&fakeT{}, Reservation), promise, testkit.Crashes(1), testkit.LostReplies(1))
	fmt.Println(stats.Complete, failure == nil, err)
	// Output:
	// Finally "paid if and only if completed" is broken <nil>
	// - send start Reserve{Customer: "ann", Quantity: 1}
	// - HoldSeats{Quantity: 1} is answered
	// - timer "deadline"
	// - Charge{Cents: 5000} is answered
	// - undo ReleaseSeats{} is answered
	// true true <nil>
}

// report runs a test and prints how it has ended.
func report(test func(t testkit.T)) {
	f := try(func(t *fakeT) { test(t) })
	if len(f.failures) == 0 {
		fmt.Println("ok")
	}
	for _, text := range f.failures {
		fmt.Println(text)
	}
}
