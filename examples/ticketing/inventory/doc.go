// Package inventory decides about the seats of a section: who holds them, and who
// has bought them. There is an aggregate of it for each section, which the host
// loads when the first command for it comes.
//
//	free ── Hold ──▶ held ── Confirm ──▶ sold
//	  ▲                │                   │
//	  └──── Release ───┴───────────────────┘
//
// A hold has an end, [HoldFor] after it began: it can then no longer be confirmed.
// Whoever holds seats sees to their release.
//
// # Twice, late, and in the wrong order
//
// The section remembers every reservation that had to do with it. A command that
// comes again does nothing. A Release that comes before its Hold leaves a mark,
// and the Hold is refused.
package inventory
