package eventstoretest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

// Home is an event store to be tested.
type Home struct {
	// Store is empty, and nobody else's. Whoever opened it closes it; if it has a
	// method Close() error, the suite may have closed it before.
	Store eventstore.Store
	// Reopen opens what Store has written again, after Store was closed; it may
	// be called several times. Whoever opened it closes it. If it is nil, what
	// is promised beyond the life of a process is not tested.
	Reopen func(t *testing.T) eventstore.Store
	// TenantRequired tells that Store refuses contexts without a tenant. The
	// suite then does everything for a tenant. Run it once with and once without,
	// if the home knows both.
	TenantRequired bool
}

// Run tests a home. It calls open for each group of subtests, and for some
// subtests that need an empty store or close it.
func Run(t *testing.T, open func(t *testing.T) Home) {
	t.Helper()
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			home := open(t)
			if g.needs != nil {
				if what := g.needs(home.Store); what != "" {
					t.Skipf("%T has no %s: not tested", home.Store, what)
				}
			}
			for _, test := range g.tests {
				t.Run(test.name, func(t *testing.T) {
					test.run(&scene{T: t, Home: home, open: open})
				})
			}
		})
	}
}

// group is a group of subtests that share a home.
type group struct {
	name  string
	needs func(eventstore.Store) (missing string)
	tests []subtest
}

type subtest struct {
	name string
	run  func(*scene)
}

var groups = []group{
	{"Append", nil, appendTests},
	{"Input", nil, inputTests},
	{"Race", nil, raceTests},
	{"Read", nil, readTests},
	{"Subscribe", nil, subscribeTests},
	{"Lookup", needs[eventstore.Lookup]("eventstore.Lookup"), lookupTests},
	{"Claims", needs[eventstore.Claims]("eventstore.Claims"), claimTests},
	{"Snapshots", needs[eventstore.Snapshots]("eventstore.Snapshots"), snapshotTests},
	{"Checkpoints", needs[eventstore.Checkpoints]("eventstore.Checkpoints"), checkpointTests},
	{"Keys", needs[eventstore.Keys]("eventstore.Keys"), keyTests},
	{"Tenants", nil, tenantTests},
	{"Cancel", nil, cancelTests},
	{"Close", needs[io.Closer]("method Close() error"), closeTests},
	{"Durability", nil, durabilityTests},
	{"Everything", nil, everythingTests},
	{"Model", nil, modelTests},
}

func needs[I any](name string) func(eventstore.Store) string {
	return func(s eventstore.Store) string {
		if _, ok := s.(I); !ok {
			return name
		}
		return ""
	}
}

// patience is how long the suite waits for what must come. It is no measure of
// a home's speed: it ends tests of homes that would hang.
var patience = time.Minute

// ownTenant is the tenant of a home that requires one.
const ownTenant = "tenant of the suite"

// scene is a subtest with its home.
type scene struct {
	*testing.T
	Home
	open  func(*testing.T) Home
	named int
}

// ctx returns a context for the calls of the test. It ends when patience does.
func (s *scene) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	s.Cleanup(cancel)
	if s.TenantRequired {
		ctx = eventstore.WithTenant(ctx, ownTenant)
	}
	return ctx
}

// alone returns the scene on an empty home that no other subtest uses.
func (s *scene) alone() *scene {
	return &scene{T: s.T, Home: s.open(s.T), open: s.open}
}

// stream names a stream that nobody has used, of a category that nobody has.
func (s *scene) stream() string { return s.unique() + "-1" }

// unique makes a name that nobody has used, without a hyphen.
func (s *scene) unique() string {
	s.named++
	return fmt.Sprintf("%s.%d", strings.ReplaceAll(s.Name(), "-", "_"), s.named)
}

// append appends, and fails the test if that fails.
func (s *scene) append(ctx context.Context, writes ...eventstore.Write) []eventstore.Appended {
	s.Helper()
	done, err := s.Store.Append(ctx, writes...)
	require.NoError(s, err)
	require.Len(s, done, len(writes))
	return done
}

// fill appends n events to a stream without events, in one append.
func (s *scene) fill(ctx context.Context, stream string, n int) []eventstore.Recorded {
	s.Helper()
	return s.append(ctx, write(stream, eventstore.None, n))[0].Events
}

// read returns all of a sequence that must end without an error.
func (s *scene) read(events iter.Seq2[eventstore.Recorded, error]) []eventstore.Recorded {
	s.Helper()
	all, err := collect(events)
	require.NoError(s, err)
	return all
}

// readStream returns the whole stream.
func (s *scene) readStream(ctx context.Context, stream string) []eventstore.Recorded {
	s.Helper()
	return s.read(s.Store.ReadStream(ctx, stream, 0))
}

// requireVersion fails the test unless the stream has just so many events, with
// the versions from 1.
func (s *scene) requireVersion(ctx context.Context, stream string, want int) {
	s.Helper()
	got := s.readStream(ctx, stream)
	require.Len(s, got, want, "events of %q", stream)
	for i := range got {
		if got[i].Version != eventstore.Version(i+1) {
			require.EqualValues(s, i+1, got[i].Version)
		}
	}
}

// same fails the test unless these are the same events. Empty data is as nil.
func (s *scene) same(want, got []eventstore.Recorded) {
	s.Helper()
	require.Len(s, got, len(want))
	for i := range want {
		if !reflect.DeepEqual(plain(want[i]), plain(got[i])) { // much faster than asking require each time
			require.Equal(s, plain(want[i]), plain(got[i]), "event %d of %d", i+1, len(want))
		}
	}
}

func plain(e eventstore.Recorded) eventstore.Recorded {
	if len(e.Data) == 0 {
		e.Data = nil
	}
	if len(e.Meta.Labels) == 0 {
		e.Meta.Labels = nil
	}
	return e
}

// ascending fails the test unless positions ascend, and versions too within each
// stream.
func (s *scene) ascending(events []eventstore.Recorded) {
	s.Helper()
	require.NoError(s, sound(events))
}

// sound tells whether positions ascend, and versions by one within each stream.
func sound(events []eventstore.Recorded) error {
	type key struct{ tenant, stream string }
	versions := map[key]eventstore.Version{}
	position := eventstore.Position(0)
	for i, e := range events {
		if e.Position <= position {
			return fmt.Errorf("event %d of %d, of %q: position %d after %d", i+1, len(events), e.Stream, e.Position, position)
		}
		k := key{e.Tenant, e.Stream}
		if before := versions[k]; before > 0 && e.Version != before+1 {
			return fmt.Errorf("event %d of %d, of %q: version %d after %d", i+1, len(events), e.Stream, e.Version, before)
		}
		position, versions[k] = e.Position, e.Version
	}
	return nil
}

func collect(events iter.Seq2[eventstore.Recorded, error]) ([]eventstore.Recorded, error) {
	var all []eventstore.Recorded
	for e, err := range events {
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, nil
}

// event makes an event with an id.
func event(eventType string) eventstore.Event {
	return eventstore.Event{ID: uuid.Must(uuid.NewV7()), Type: eventType, Data: []byte(`{"seats":["A1"]}`)}
}

func write(stream string, expected eventstore.Expected, n int) eventstore.Write {
	w := eventstore.Write{Stream: stream, Expected: expected, Events: make([]eventstore.Event, n)}
	for i := range w.Events {
		w.Events[i] = event("held")
	}
	return w
}

func ids(events []eventstore.Recorded) []uuid.UUID {
	all := make([]uuid.UUID, len(events))
	for i := range events {
		all[i] = events[i].ID
	}
	return all
}

// sortedIDs is for comparing events that came in another order.
func sortedIDs(events []eventstore.Recorded) []string {
	all := make([]string, len(events))
	for i := range events {
		all[i] = events[i].ID.String()
	}
	slices.Sort(all)
	return all
}
