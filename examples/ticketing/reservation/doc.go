// Package reservation brings a reservation about: seats from the inventory, money
// from the payment, a ticket for both. There is one store of it for each
// reservation. It coordinates and leaves the work to others: one request for each
// step, whose handler asks the store that does it.
//
//	New ── Start ──▶ Holding ──▶ Paying ──▶ Confirming ──▶ Ticketing ──▶ Completed
//	                    │           │            │
//	                    ▼           ▼            ▼      Cancel, a refusal,
//	                    └──── Compensating ◀─────┘      or the deadline
//	                               │
//	                               ▼
//	                      Failed or Cancelled
//
// # Compensation
//
// What may have to be undone goes on a stack, [State.Undo], when its request is
// made, not when its answer comes: a step whose outcome is unknown is undone as
// one that is done. A refusal ([ticket.RejectionError]) takes it off again, since
// then nothing was done. Compensation undoes the stack from its top, one step at
// a time, and tries each again until it is done. A reservation for which that
// takes too many attempts is [State.Stuck], and goes on trying.
//
// A reservation has until its deadline, [Deadline] after its start, to be paid.
// Once the seats are confirmed only the ticket is left, which is tried until it
// is issued: from there a reservation can no longer be cancelled.
package reservation
