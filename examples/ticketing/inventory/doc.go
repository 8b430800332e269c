// Package inventory keeps the seats of one section: who holds them, who has
// bought them, which are free. There is one store of it for each section.
//
// A section is asked to [Hold] seats, to [Confirm] a hold once it is paid for,
// and to [Release] what a reservation has. It answers each command with one
// [Answer]. A hold that is neither confirmed nor released ends by itself after
// [HoldFor].
//
// # Loading on demand
//
// A store starts empty and knows nothing of its section. The first command makes
// it ask for the section with [LoadSection]; commands that come meanwhile wait
// in line, and are held so that whoever asked finds the answer. The workflow in
// the [State] says which command waits and which goes on. See [Catalogue] for
// where sections come from and where they go when their store is passivated.
//
// # Twice, late, and in the wrong order
//
// Every command may come again and is done once: the section remembers what
// became of each reservation (its [Claim]). A Release that comes before the Hold
// that it undoes leaves a claim too, and the Hold is refused when it arrives.
package inventory
