// Package reservation brings a reservation about: seats from the inventory, money
// by way of the gateway, a ticket for both. It is a durable saga, one for each
// reservation: it decides, and leaves the work to others.
//
//	New ── Start ──▶ Holding ──▶ Requesting ──▶ Charging ──▶ Confirming ──▶ Ticketing ──▶ Completed
//	                    │            │             │             │
//	                    └────────────┴──────┬──────┴─────────────┘  a refusal, the deadline,
//	                                        ▼                       a cancellation
//	                                  Compensating ──▶ Failed or Cancelled
//
// # What is undone
//
// Holding seats, asking for the payment and charging the card each name what
// undoes them when they are asked for, so that a step whose outcome is unknown is
// undone as one that is done. A definitive refusal undoes nothing, for nothing was
// done. The confirmation of the seats has no undo of its own: releasing them does.
//
// A reservation has until its [Deadline] to be paid. Once the seats are confirmed
// there is no way back (a pivot): the ticket is tried until it is issued.
//
// A card that is charged too late is refunded: the refund is asked for again and
// again, under the same key, until the gateway has decided the charge.
package reservation
