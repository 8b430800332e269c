package eventstore

import "time"

// SnapshotPolicy says whether a snapshot is to be saved now. It is asked after
// events were appended or loaded, from any goroutine. nil is never.
type SnapshotPolicy func(SnapshotInfo) bool

// SnapshotInfo is what a [SnapshotPolicy] decides on.
type SnapshotInfo struct {
	// Version is the stream's.
	Version Version
	// Events is how many events the stream has beyond the last snapshot, or in
	// all if it has none: what loading has to go through.
	Events int
	// Bytes is the size of their data.
	Bytes int
	// Age is how long ago the last snapshot was saved, or the first of the events
	// was recorded if there is none.
	Age time.Duration
}

// Due tells whether the policy wants a snapshot. One of no policy, or of nothing
// that is new, is never due.
func (p SnapshotPolicy) Due(info SnapshotInfo) bool {
	return p != nil && info.Events > 0 && p(info)
}

// SnapshotEvery wants a snapshot when so many events have come since the last.
// Less than 1 is never.
func SnapshotEvery(events int) SnapshotPolicy {
	return func(info SnapshotInfo) bool { return events > 0 && info.Events >= events }
}

// SnapshotAfterBytes wants a snapshot when the data of the events since the last
// has that size. Less than 1 is never.
func SnapshotAfterBytes(bytes int) SnapshotPolicy {
	return func(info SnapshotInfo) bool { return bytes > 0 && info.Bytes >= bytes }
}

// SnapshotAfter wants a snapshot when the last one is that old and events have
// come since. Less than 1 is never.
func SnapshotAfter(age time.Duration) SnapshotPolicy {
	return func(info SnapshotInfo) bool { return age > 0 && info.Age >= age }
}

// SnapshotWhenAny wants a snapshot when one of the policies does.
func SnapshotWhenAny(policies ...SnapshotPolicy) SnapshotPolicy {
	return func(info SnapshotInfo) bool {
		for _, p := range policies {
			if p.Due(info) {
				return true
			}
		}
		return false
	}
}
