package eventstoretest_test

import (
	"context"
	"iter"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/eventstoretest"
	"github.com/seed57833328/rondo/eventstore/memory"
)

// home is the home in memory with some of its methods replaced.
type home struct {
	*memory.Store
	appends     func(context.Context, ...eventstore.Write) ([]eventstore.Appended, error)
	readStream  func(context.Context, string, eventstore.Version) events
	readAll     func(context.Context, eventstore.Position, eventstore.Filter) events
	subscribe   func(context.Context, eventstore.Position, eventstore.Filter) events
	head        func(context.Context) (eventstore.Position, error)
	lookup      func(context.Context, ...uuid.UUID) ([]eventstore.Recorded, error)
	saves       func(context.Context, eventstore.Snapshot) error
	acquires    func(context.Context, string, string, time.Duration) (eventstore.Lease, error)
	checkpoints func(context.Context, eventstore.Lease, eventstore.Position, time.Duration) (eventstore.Lease, error)
	key         func(context.Context, string) ([]byte, error)
	reopen      func() eventstore.Store
}

type events = iter.Seq2[eventstore.Recorded, error]

func newHome(t *testing.T) *home {
	t.Helper()
	s, err := memory.New(memory.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return &home{
		Store: s, appends: s.Append, readStream: s.ReadStream, readAll: s.ReadAll, subscribe: s.Subscribe, head: s.Head, lookup: s.Lookup,
		saves: s.SaveSnapshot, acquires: s.AcquireLease, checkpoints: s.SaveCheckpoint, key: s.Key,
	}
}

func (h *home) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	return h.appends(ctx, writes...)
}

func (h *home) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return h.readStream(ctx, stream, from)
}

func (h *home) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return h.readAll(ctx, after, f)
}

func (h *home) Subscribe(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return h.subscribe(ctx, after, f)
}

func (h *home) Head(ctx context.Context) (eventstore.Position, error) { return h.head(ctx) }

func (h *home) Lookup(ctx context.Context, ids ...uuid.UUID) ([]eventstore.Recorded, error) {
	return h.lookup(ctx, ids...)
}

func (h *home) SaveSnapshot(ctx context.Context, s eventstore.Snapshot) error { return h.saves(ctx, s) }

func (h *home) AcquireLease(ctx context.Context, subscription, owner string, ttl time.Duration) (eventstore.Lease, error) {
	return h.acquires(ctx, subscription, owner, ttl)
}

func (h *home) SaveCheckpoint(ctx context.Context, l eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (eventstore.Lease, error) {
	return h.checkpoints(ctx, l, checkpoint, ttl)
}

func (h *home) Key(ctx context.Context, subject string) ([]byte, error) { return h.key(ctx, subject) }

// wrongEnv names the mistake that TestWrongHome has, in a process of its own.
const wrongEnv = "RONDO_WRONG_HOME"

// TestWrongHome is run by TestSuiteFindsMistakes, with a mistake.
func TestWrongHome(t *testing.T) {
	t.Parallel()
	name := os.Getenv(wrongEnv)
	if name == "" {
		t.Skip("run by TestSuiteFindsMistakes")
	}
	if name == bare {
		eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
			t.Helper()
			return eventstoretest.Home{Store: struct{ eventstore.Store }{newHome(t)}}
		})
		return
	}
	eventstoretest.SetPatience(5 * time.Second) // with homes of which some never answer
	for _, m := range mistakes {
		if m.name != name {
			continue
		}
		eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
			t.Helper()
			h := newHome(t)
			m.make(h)
			wrong := eventstoretest.Home{Store: h}
			if h.reopen != nil {
				wrong.Reopen = func(*testing.T) eventstore.Store { return h.reopen() }
			}
			return wrong
		})
		return
	}
	t.Fatalf("there is no mistake %q", name)
}

// TestSuiteFindsMistakes runs the suite on homes that are wrong in one way each,
// and sees the test fail that is about it.
func TestSuiteFindsMistakes(t *testing.T) {
	t.Parallel()
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			output, failed := runChild(t, m.name, m.found)
			want := "--- FAIL: TestWrongHome/" + underscored(m.found)
			require.True(t, failed && strings.Contains(output, want), "want %q in:\n%s", want, output)
			require.NotContains(t, output, "panic:")
		})
	}
}

// TestSuiteAcceptsTheRightHome shows that what fails above fails by the mistake.
func TestSuiteAcceptsTheRightHome(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
		t.Helper()
		return eventstoretest.Home{Store: newHome(t)}
	})
}

// process is a program's hold on a store that outlives it.
type process struct{ *memory.Store }

// Close is not that of the contract, so the suite leaves the data alone.
func (process) Close() {}

func TestSuiteAcceptsADurableHome(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
		t.Helper()
		s := newHome(t).Store
		return eventstoretest.Home{Store: process{s}, Reopen: func(*testing.T) eventstore.Store { return process{s} }}
	})
}

// bare has nothing but the least of an event store.
const bare = "bare"

// TestSuiteSaysWhatItLeftOut runs the suite on a home that has no more than it
// must, and reads what it says of the rest.
func TestSuiteSaysWhatItLeftOut(t *testing.T) {
	t.Parallel()
	output, failed := runChild(t, bare, "(Lookup|Claims|Snapshots|Checkpoints|Keys|Close|Durability|Race|Tenants)")
	require.False(t, failed, output)
	for _, missing := range []string{
		"eventstore.Lookup", "eventstore.Claims", "eventstore.Snapshots", "eventstore.Checkpoints", "eventstore.Keys", "method Close() error",
	} {
		require.Contains(t, output, "has no "+missing+": not tested")
	}
	require.Contains(t, output, "the home has no Reopen")
	require.Contains(t, output, "the home requires no tenant")
}

func runChild(t *testing.T, mistake, test string) (output string, failed bool) {
	t.Helper()
	var pattern []string
	for part := range strings.SplitSeq(underscored("TestWrongHome/"+test), "/") {
		pattern = append(pattern, "^"+part+"$")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run="+strings.Join(pattern, "/"), "-test.v", "-test.count=1", "-test.timeout=2m", "-rapid.nofailfile")
	cmd.Env = append(os.Environ(), wrongEnv+"="+mistake)
	out, err := cmd.CombinedOutput()
	return string(out), err != nil
}

func underscored(name string) string { return strings.ReplaceAll(name, " ", "_") }
