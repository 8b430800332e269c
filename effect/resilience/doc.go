// Package resilience has the policies that stand between a handler and the
// service it calls: timeout, retry, circuit breaker, and limits of concurrency
// and rate. Each is an option of effect.Handle:
//
//	effect.Handle(gateway.Charge,
//		resilience.Timeout(10*time.Second),
//		resilience.Retry(resilience.RetryConfig{Attempts: 4, Delay: 50 * time.Millisecond}),
//		resilience.Concurrency(8),
//		resilience.CircuitBreaker(resilience.BreakerConfig{Name: "gateway", Failures: 5}),
//		resilience.RateLimit(100, time.Second),
//		resilience.Timeout(2*time.Second))
//
// The policies are those of github.com/failsafe-go/failsafe-go, but for Timeout,
// which package context does as well. They are a package of their own so that a
// program which does not use them does not link that library: package effect
// imports the standard library and google/uuid alone.
//
// # Here or on the request
//
// Retry and timeout exist twice, because two parties have a say.
//
// effect.Retry and effect.Timeout are part of the request. The reducer decides
// them, for this request, from its state. The engine runs them: they show in
// effect.Describe, tests assert them, and testkit runs them on virtual time and
// explores what may happen between two attempts. Use them for what the business
// has decided: a payment is given thirty seconds, a reminder is sent three
// times.
//
// The policies of this package are part of the handler. Whoever runs the service
// decides them, once, for all requests of a type. The reducer does not see them,
// nor does a test that answers the request itself: to both, a call that
// succeeded at the third attempt is a call that succeeded. Use them for what
// belongs to the wire: a connection that is reset, a gateway's quota, a service
// that is down. Breaker and limits exist only here, since what they keep count
// of is not one store's.
//
// Both may be given. Each attempt of the request is then a call with all of the
// handler's attempts, and the request's timeout cancels it.
//
// # Order
//
// The first option stands outermost. The order above is the one to start with:
//
//   - [Timeout] first bounds the whole: attempts, and waits between them and at
//     limits.
//   - [Retry] around the rest, so that no slot is held between two attempts and
//     the breaker counts each. The other way round, it would see one failure
//     where the service saw four calls.
//   - [Concurrency] around the breaker, so that calls which wait for a slot when
//     the circuit opens are refused as they get one. The other way round, they
//     would be past the breaker and all go to a service that is down. With
//     MaxWait(0) nobody waits, and the order of the two is free.
//   - [CircuitBreaker] around [RateLimit], so that a call which is refused takes
//     no turn. RateLimit inside Concurrency, so that a call goes out as soon as
//     its turn has come. The other way round, calls would collect behind the
//     slots and go out in a burst.
//   - [Timeout] again, last, bounds each attempt without the waits. Inside the
//     retry, so that a slow attempt is followed by another; inside the breaker,
//     so that slowness opens the circuit even if no caller sets a deadline.
//
// # Sharing
//
// An option is the policy it made: breaker and limits belong to the value, and
// all calls of all handlers it is given to share them. Make it once for what is
// one service:
//
//	gateway := []effect.HandlerOption{
//		resilience.Concurrency(8),
//		resilience.CircuitBreaker(resilience.BreakerConfig{Name: "gateway"}),
//	}
//	handlers := []effect.Handler{
//		effect.Handle(api.Charge, gateway...),
//		effect.Handle(api.Refund, gateway...),
//	}
//
// Here eight calls run at once, charges and refunds together, and failing
// charges stop refunds. Call the constructor once for each handler to keep them
// apart.
//
// # Errors
//
// What a policy answers with is found with errors.Is: [ErrTimeout],
// [ErrCircuitOpen], [ErrConcurrencyLimit], [ErrRateLimited]. After the last
// three the handler was certainly not called in that attempt; after ErrTimeout
// what it did is unknown. A call that is cancelled while it waits, at a limit or
// between attempts, comes to context.Canceled and none of these. All other
// errors are the handler's, unchanged, so effect.Retryable and errors.As see
// what it returned.
//
// A policy that is given bad input is no option: the handler it is given to is
// refused, with an error that names the field, where it is used (store.New).
//
// # Streams
//
// Around a stream of effect.HandleStream a call is the whole stream, from its
// start to its end. Timeout bounds all of it. Retry starts it from the
// beginning, so values that had come before come again. The breaker judges it by
// how it ended; one that its consumer stops early says nothing. Concurrency
// keeps the slot until the end. RateLimit counts the start and not the values. A
// stream that yields io.EOF as an error has failed, to these policies; one that
// has come to its end yields nothing more.
//
// # Concurrency
//
// Options, and the handlers made with them, may be used by any number of
// goroutines at once. No policy starts a goroutine, and none lets an attempt
// run on once the call has returned: the handler is always waited for. Calls
// block at the limits, in the order in which they came, and between attempts,
// never longer than until their context ends. Calls that wait keep their store's
// worker (store.Config.Workers) and are not bounded in number; bound their time,
// by Timeout or [MaxWait].
//
// # Tests
//
// Time is that of package time, so a test in a testing/synctest bubble runs on
// virtual time. Make the policies inside the bubble: those made outside have
// begun to count on another clock, and the bubble's stands still while a call
// waits for a slot of theirs. A store.Runtime of your own does not reach the
// policies; leave them out of handlers that run on a simulated one.
package resilience
