// Package fingerprint makes stable 64-bit hashes of Go values: the same value
// has the same hash in every process and on every run.
//
// A search that visits states wants to know whether it has been somewhere
// before without keeping every state in memory. It keeps fingerprints:
//
//	states, err := fingerprint.For[State]()
//	if err != nil {
//		return err // "State.Cache.mu: sync.Mutex cannot be hashed: …"
//	}
//	if seen[states.Hash(&s)] { … }
//
// # What is equal
//
// Two values have one hash if a reader of the program's data would call them
// the same. Every field counts, exported or not, except blank ones. Pointers
// count by what they point to, so a clone hashes as its original and a shared
// value as a copy of it. Nil and empty are one for slices and for maps, because
// clones and appends do not keep the difference; a nil pointer and a nil
// interface differ from every other, but that a nil *[time.Location] is UTC. NaN equals itself and -0 equals +0. A
// [time.Time] is its instant, without location and monotonic reading. An
// interface is the name of its dynamic type and its value; so is the value
// given to [Of], and to [Type.Hash]: Of(v) is what Hash(&v) is, and two types
// with equal fields have different hashes. An error that is a pointer is its
// type and its text, and a [reflect.Type] and a *[time.Location] are their
// names.
//
// Pointers may lead back to where they came from. Such a cycle counts by its
// length, so two rings are equal if they have the same values in as many nodes.
//
// Functions, channels, unsafe pointers, locks and atomics have no content to
// hash. [For] finds them in static types and says where; those that only an
// interface holds are found when they are met, and the functions of this package
// then panic with an [*UnhashableError].
//
// # Hash methods
//
// A type that has a method
//
//	Hash() uint64
//
// on itself or on its pointer is hashed by what the method returns, mixed with
// what is around it. A method that an embedded field promotes is a method like
// any other, and leaves out the fields beside it. A method on a pointer is
// called on the value itself where it has an address that the caller shares,
// and on a copy of what an interface or a map holds.
//
// # Renaming
//
// [Type.HashWith] hashes a value as if others stood in it: with [NewRenaming] of
// the processes 1, 2 to 2, 1 it gives the hash of the state in which the two
// have changed places. The least of these hashes over all permutations is one
// fingerprint for all states that differ by a permutation only. Hash methods are
// not called then, with the zero [Renaming] neither, because they do not know
// of the renaming; nor is the text of an error renamed.
//
// # How
//
// Each type is compiled once into a plan, as encoding/json does with its
// encoders, and a plan reads memory without boxing values. Neighbouring fields
// of 64-bit integers are read in one go. A hash does not depend on byte order;
// it does depend on whether int has 64 bits. Hashes are not meant to withstand
// somebody who looks for collisions.
//
// # Concurrency
//
// Every function may be called by any number of goroutines at once, and a
// [Type] and a [Renaming] may be shared. The values must not change while they
// are hashed. No call waits for another, except that types met for the first
// time are compiled one at a time.
package fingerprint
