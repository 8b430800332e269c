// Package event decides about the events that seats are sold for: what they are,
// what their tiers cost, and whether they are on sale. There is an aggregate of
// it for each event.
//
//	Draft ──▶ draft ── Publish ──▶ published ── PutOnSale ──▶ on-sale ── Close ──▶ closed
//	            │                      │                         │
//	            └──────────────────────┴───── Cancel ────────────┴──▶ cancelled
//
// Prices may change until the sale begins, since then the sections have them.
// Commands that have been carried out already are carried out again by doing
// nothing.
package event
