package erasure_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
	"github.com/seed57833328/rondo/eventstore/memory"
)

// TestModel lets processes append, read, keep snapshots, erase and start again.
// The one that has erased a subject never reads of it again, the others not after
// the time of their keys or after they have read the announcement; everything
// about others is read as it was written.
func TestModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Wrapped, for the test's deadline is of another clock.
		rapid.Check(struct{ rapid.TB }{t}, model)
	})
}

// process is one of the programs on a store.
type process struct {
	*erasure.Store
	// knows are whose erasure it must know of: its own, and what was announced to
	// it.
	knows map[string]bool
}

func model(t *rapid.T) {
	const ttl = 20 * time.Second
	db, err := memory.New(memory.Config{})
	require.NoError(t, err)
	cfg := erasure.Config{
		KeyTTL:     ttl,
		CachedKeys: rapid.IntRange(1, 4).Draw(t, "cached keys"),
		Announce: func(subject string) (eventstore.Write, error) {
			return eventstore.Write{Stream: "erasures-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "erased", Data: []byte(subject)}}}, nil
		},
	}
	begin := func() *process {
		s, err := erasure.New(db, db, cfg)
		require.NoError(t, err)
		return &process{s, map[string]bool{}}
	}
	processes := []*process{begin(), begin()}
	tenants := map[string]context.Context{
		"":    context.Background(),
		"red": eventstore.WithTenant(context.Background(), "red"),
	}
	payloads := map[eventstore.Position]string{}
	erased := map[string]time.Time{} // by tenant and subject
	snapshots := map[string]eventstore.Snapshot{}

	tenant := rapid.SampledFrom([]string{"", "red"})
	subject := rapid.SampledFrom([]string{"", "ann", "bob", "zoe"})
	who := rapid.IntRange(0, len(processes)-1)
	// over tells whether the process must not read what is about the subject.
	over := func(p *process, key string) bool {
		at, is := erased[key]
		return is && (p.knows[key] || !time.Now().Before(at.Add(ttl)))
	}
	t.Repeat(map[string]func(*rapid.T){
		"append": func(t *rapid.T) {
			p, in, about := processes[who.Draw(t, "process")], tenant.Draw(t, "tenant"), subject.Draw(t, "subject")
			data := fmt.Sprintf("%d of %s", len(payloads), about)
			done, err := p.Append(tenants[in], eventstore.Write{
				Stream: "customer-1", Expected: eventstore.Any,
				Events: []eventstore.Event{{Type: "t", Data: []byte(data), Meta: eventstore.Meta{Subject: about}}},
			})
			if _, is := erased[in+"/"+about]; is && err != nil || over(p, in+"/"+about) {
				require.ErrorIs(t, err, eventstore.ErrErased)
				return
			}
			require.NoError(t, err)
			require.Equal(t, data, string(done[0].Events[0].Data))
			payloads[done[0].Position] = data
		},
		"erase": func(t *rapid.T) {
			p, in, about := processes[who.Draw(t, "process")], tenant.Draw(t, "tenant"), subject.Draw(t, "subject")
			if about == "" {
				t.Skip("nobody")
			}
			require.NoError(t, p.Erase(tenants[in], about))
			key := in + "/" + about
			if p.knows[key] = true; erased[key].IsZero() {
				erased[key] = time.Now()
			}
		},
		"snapshot": func(t *rapid.T) {
			p, in := processes[who.Draw(t, "process")], tenant.Draw(t, "tenant")
			about := rapid.SliceOfN(rapid.SampledFrom([]string{"ann", "bob", "zoe"}), 0, 3).Draw(t, "subjects")
			s := eventstore.Snapshot{Stream: "customer-1", Type: "s", Version: 1, Data: fmt.Append(nil, "of ", about), Subjects: about}
			err := p.SaveSnapshot(tenants[in], s)
			refused := false
			for _, name := range about {
				refused = refused || !erased[in+"/"+name].IsZero()
			}
			switch {
			case err == nil:
				snapshots[in] = s
			case !refused:
				require.ErrorAs(t, err, new(*eventstore.InputError), "of a stream that is not there")
			}
		},
		"load": func(t *rapid.T) {
			p, in := processes[who.Draw(t, "process")], tenant.Draw(t, "tenant")
			got, found, err := p.LoadSnapshot(tenants[in], "customer-1", "s")
			require.NoError(t, err)
			want, is := snapshots[in]
			mayBeGone, mustBeGone := !is, !is
			for _, name := range want.Subjects {
				key := in + "/" + name
				mayBeGone = mayBeGone || !erased[key].IsZero()
				mustBeGone = mustBeGone || over(p, key)
			}
			if found {
				require.False(t, mustBeGone)
				require.Equal(t, string(want.Data), string(got.Data))
			} else {
				require.True(t, mayBeGone)
			}
		},
		"start again": func(t *rapid.T) { processes[who.Draw(t, "process")] = begin() },
		"time":        func(t *rapid.T) { time.Sleep(time.Duration(rapid.IntRange(1, 15).Draw(t, "seconds")) * time.Second) }, //nolint:forbidigo // virtual time
		"": func(t *rapid.T) {
			p := processes[who.Draw(t, "who reads")]
			for e, err := range p.ReadAll(eventstore.AllTenants(context.Background()), 0, eventstore.Filter{}) {
				require.NoError(t, err)
				if e.Type == "erased" {
					p.knows[e.Tenant+"/"+string(e.Data)] = true
					continue
				}
				key := e.Tenant + "/" + e.Meta.Subject
				if e.Redacted {
					require.Contains(t, erased, key)
					require.Nil(t, e.Data)
					continue
				}
				require.False(t, over(p, key), "event %d of %s is read", e.Position, key)
				require.Equal(t, payloads[e.Position], string(e.Data))
			}
			for e, err := range db.ReadAll(eventstore.AllTenants(context.Background()), 0, eventstore.Filter{}) {
				require.NoError(t, err)
				if e.Meta.Subject != "" {
					require.NotContains(t, string(e.Data), " of ")
				}
			}
		},
	})
}
