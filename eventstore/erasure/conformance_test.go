package erasure_test

import (
	"context"
	"iter"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
	"github.com/seed57833328/rondo/eventstore/eventstoretest"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// home is what is put around.
type home interface {
	inner
	Close() error
}

// TestConformance holds a store with encryption to what is asked of any other,
// with the suite's events as they are, most of which have no subject, and with one
// for each event and snapshot that has none.
func TestConformance(t *testing.T) {
	t.Parallel()
	homes := map[string]func(testing.TB, wrap) eventstoretest.Home{
		"memory": func(t testing.TB, around wrap) eventstoretest.Home {
			t.Helper()
			return eventstoretest.Home{Store: around(t, newInner(t))}
		},
		"a tenant required": func(t testing.TB, around wrap) eventstoretest.Home {
			t.Helper()
			db, err := memory.New(memory.Config{RequireTenant: true})
			require.NoError(t, err)
			return eventstoretest.Home{Store: around(t, db), TenantRequired: true}
		},
		"sqlite": func(t testing.TB, around wrap) eventstoretest.Home {
			t.Helper()
			file := filepath.Join(t.TempDir(), "events.db")
			open := func(t *testing.T) eventstore.Store {
				t.Helper()
				db, err := sqlite.Open(t.Context(), file, sqlite.Config{})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, db.Close()) })
				return around(t, db)
			}
			return eventstoretest.Home{Store: open(t.(*testing.T)), Reopen: open} //nolint:forcetypeassert // it is one
		},
		"postgres": func(t testing.TB, around wrap) eventstoretest.Home {
			t.Helper()
			server := postgrestest.New(t)
			open := func(t *testing.T) eventstore.Store {
				t.Helper()
				db, err := postgres.Open(t.Context(), server.URL, postgres.Config{AutoMigrate: true})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, db.Close()) })
				return around(t, db)
			}
			return eventstoretest.Home{Store: open(t.(*testing.T)), Reopen: open} //nolint:forcetypeassert // it is one
		},
	}
	test := func(t *testing.T, home func(testing.TB, wrap) eventstoretest.Home, around wrap) {
		t.Helper()
		t.Parallel()
		eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
			t.Helper()
			return home(t, around)
		})
	}
	t.Run("few subjects/memory", func(t *testing.T) { test(t, homes["memory"], few) })
	for name, home := range homes {
		t.Run("all subjects/"+name, func(t *testing.T) {
			if testing.Short() && name == "sqlite" {
				t.Skip("SQLite in Go, with the race detector, takes a minute for what the others show too")
			}
			test(t, home, all)
		})
	}
}

// wrap puts encryption around a home.
type wrap func(testing.TB, home) eventstore.Store

func few(t testing.TB, db home) eventstore.Store {
	t.Helper()
	return encrypted(t, db)
}

func all(t testing.TB, db home) eventstore.Store {
	t.Helper()
	return &subjected{encrypted(t, db)}
}

// closable is a store with encryption that closes the inner one, as the suite
// wants it.
type closable struct {
	*erasure.Store
	close func() error
}

func (c *closable) Close() error { return c.close() }

func encrypted(t testing.TB, db home) *closable {
	t.Helper()
	return &closable{around(t, db, db, erasure.Config{}), db.Close}
}

// subjected gives a subject to what has none, and hides that.
type subjected struct{ *closable }

const someone = "someone of the suite"

func (s *subjected) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	writes = slices.Clone(writes)
	for i := range writes {
		writes[i].Events = slices.Clone(writes[i].Events)
		for j := range writes[i].Events {
			if m := &writes[i].Events[j].Meta; m.Subject == "" {
				m.Subject = someone
			}
		}
	}
	done, err := s.closable.Append(ctx, writes...)
	for i := range done {
		for j := range done[i].Events {
			hide(&done[i].Events[j])
		}
	}
	return done, err
}

func hide(e *eventstore.Recorded) {
	if e.Meta.Subject == someone {
		e.Meta.Subject = ""
	}
}

func unsubjected(events iter.Seq2[eventstore.Recorded, error]) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for e, err := range events {
			if hide(&e); !yield(e, err) {
				return
			}
		}
	}
}

func (s *subjected) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return unsubjected(s.closable.ReadStream(ctx, stream, from))
}

func (s *subjected) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return unsubjected(s.closable.ReadAll(ctx, after, f))
}

func (s *subjected) Subscribe(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return unsubjected(s.closable.Subscribe(ctx, after, f))
}

func (s *subjected) Lookup(ctx context.Context, ids ...uuid.UUID) ([]eventstore.Recorded, error) {
	found, err := s.closable.Lookup(ctx, ids...)
	for i := range found {
		hide(&found[i])
	}
	return found, err
}

func (s *subjected) SaveSnapshot(ctx context.Context, x eventstore.Snapshot) error {
	if len(x.Subjects) == 0 {
		x.Subjects = []string{someone}
	}
	return s.closable.SaveSnapshot(ctx, x)
}

func (s *subjected) LoadSnapshot(ctx context.Context, stream, snapshotType string) (eventstore.Snapshot, bool, error) {
	x, found, err := s.closable.LoadSnapshot(ctx, stream, snapshotType)
	if slices.Equal(x.Subjects, []string{someone}) {
		x.Subjects = nil
	}
	return x, found, err
}
