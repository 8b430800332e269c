// Package payment takes the money for one reservation, and gives it back. There
// is one store of it for each reservation, whose id is the payment's key at the
// gateway too.
//
// A payment is asked to [Charge] and to [Refund], and answers each command once
// the outcome is certain: [Charged], [Refused] or [Refunded].
//
//	New ── Charge ──▶ Charging ──▶ Charged ──┐
//	                   │    ▲ ╲──▶ Declined  │ Refund
//	           silence ▼    │ try again      ▼
//	                  LookingUp ─────────▶ Refunding ──▶ Refunded
//	                          give up, Refund
//
// # When the gateway is silent
//
// A charge that is not answered may have happened or not. The payment looks it
// up by its key: it is found charged or declined, is still in the works, or is
// unknown there and sent again. That goes on until the outcome is certain, a
// Refund is asked for, or [GiveUpAfter] has passed. In the latter cases the
// payment gives up: the charge is refused, with [Withdrawn] or [Unresolved], and
// refunded by its key, which makes the gateway give back what it took and take
// nothing later. A gateway that is still at work on the charge says so, and is
// asked again until it has done both.
//
// # Twice, late, and in the wrong order
//
// A Charge or Refund that comes again gets the same answer. A Refund that comes
// before its Charge is done, and the Charge then refused with [Withdrawn]. A
// charge that the gateway reports done after all of that is refunded again.
package payment
