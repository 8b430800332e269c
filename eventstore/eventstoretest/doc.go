// Package eventstoretest holds an event store to the contract of package
// eventstore. A home runs it from a test of its own:
//
//	func TestConformance(t *testing.T) {
//		t.Parallel()
//		eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
//			path := filepath.Join(t.TempDir(), "events.db")
//			return eventstoretest.Home{
//				Store:  open(t, path),
//				Reopen: func(t *testing.T) eventstore.Store { return open(t, path) },
//			}
//		})
//	}
//
// Each promise of the contract is a subtest whose name says it. What a home need
// not have is tested if it is there, and skipped with a line that says so
// otherwise: [eventstore.Lookup], [eventstore.Claims], [eventstore.Snapshots],
// [eventstore.Checkpoints], [eventstore.Keys], a method Close() error, and
// opening the same data again.
//
// [Golden] keeps the forms that events were recorded in: a golden file for each
// type and schema version of a registry, which must decode for ever.
//
// # Concurrency
//
// Groups of subtests run in parallel, each on a home of its own; the subtests of
// a group run one after the other and share it. Many of them use the store from
// many goroutines, so the suite is worth running under the race detector.
package eventstoretest
