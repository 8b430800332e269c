package eventstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

func TestSnapshotPolicies(t *testing.T) {
	t.Parallel()
	info := eventstore.SnapshotInfo{Version: 500, Events: 100, Bytes: 10_000, Age: time.Hour}
	large := eventstore.SnapshotInfo{Version: 1, Events: 1, Bytes: 1 << 20}
	old := eventstore.SnapshotInfo{Version: 1, Events: 1, Age: 48 * time.Hour}
	nothingNew := eventstore.SnapshotInfo{Version: 500, Age: 48 * time.Hour}
	for _, c := range []struct {
		name   string
		policy eventstore.SnapshotPolicy
		info   eventstore.SnapshotInfo
		want   bool
	}{
		{"none", nil, info, false},
		{"every 100, after 100", eventstore.SnapshotEvery(100), info, true},
		{"every 99, after 100", eventstore.SnapshotEvery(99), info, true},
		{"every 101, after 100", eventstore.SnapshotEvery(101), info, false},
		{"every 0", eventstore.SnapshotEvery(0), info, false},
		{"every -1", eventstore.SnapshotEvery(-1), info, false},
		{"10,000 bytes, after as many", eventstore.SnapshotAfterBytes(10_000), info, true},
		{"10,001 bytes, after 10,000", eventstore.SnapshotAfterBytes(10_001), info, false},
		{"0 bytes", eventstore.SnapshotAfterBytes(0), info, false},
		{"an hour, after one", eventstore.SnapshotAfter(time.Hour), info, true},
		{"an hour and a bit, after one", eventstore.SnapshotAfter(time.Hour + 1), info, false},
		{"no time", eventstore.SnapshotAfter(0), info, false},
		{"old, with nothing new", eventstore.SnapshotAfter(time.Hour), nothingNew, false},
		{"a policy of one's own", func(i eventstore.SnapshotInfo) bool { return i.Version == 500 }, info, true},
		{"always, with nothing new", func(eventstore.SnapshotInfo) bool { return true }, nothingNew, false},
		{"any of none", eventstore.SnapshotWhenAny(), info, false},
		{"any, nil among them", eventstore.SnapshotWhenAny(nil, eventstore.SnapshotEvery(100)), info, true},
	} {
		require.Equal(t, c.want, c.policy.Due(c.info), c.name)
	}
	some := eventstore.SnapshotWhenAny(eventstore.SnapshotEvery(101), eventstore.SnapshotAfterBytes(1<<20), eventstore.SnapshotAfter(48*time.Hour))
	require.False(t, some.Due(info))
	require.True(t, some.Due(large))
	require.True(t, some.Due(old))
}
