package eventstoretest

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var closeTests = []subtest{
	{"whatever is asked afterwards is refused", usedAfterClose},
	{"subscriptions end", closeEndsSubscriptions},
	{"a read that goes on does not end as if that was all", closeWhileReading},
	{"appends that go on say what became of them", closeWhileAppending},
}

func (s *scene) close() {
	s.Helper()
	require.NoError(s, s.Store.(io.Closer).Close())
}

func usedAfterClose(s *scene) {
	s = s.alone()
	calls, _ := s.calls()
	ctx := s.ctx()
	sequences := map[string]func(func(eventstore.Recorded, error) bool){
		"ReadStream": s.Store.ReadStream(ctx, s.stream(), 1),
		"ReadAll":    s.Store.ReadAll(ctx, 0, eventstore.Filter{}),
		"Subscribe":  s.Store.Subscribe(ctx, 0, eventstore.Filter{}),
	}
	s.close()
	for _, c := range calls {
		require.ErrorIs(s, c.do(ctx), eventstore.ErrClosed, "%s after Close", c.name)
		require.False(s, eventstore.Retryable(c.do(ctx)), c.name)
	}
	for name, events := range sequences {
		_, err := collect(events)
		require.ErrorIs(s, err, eventstore.ErrClosed, "%s, made before Close", name)
	}
	require.NoError(s, s.Store.(io.Closer).Close(), "closed again")
}

func closeEndsSubscriptions(s *scene) {
	s = s.alone()
	ctx, stream := s.ctx(), s.stream()
	s.fill(ctx, stream, 2)
	read := make(chan struct{}, 2)
	waits := map[string]func() error{
		"has delivered": background(func() error {
			for _, err := range s.Store.Subscribe(ctx, 0, eventstore.Filter{}) {
				if err != nil {
					return err
				}
				read <- struct{}{}
			}
			return nil
		}),
		"has nothing to deliver": background(func() error {
			_, err := collect(s.Store.Subscribe(ctx, 0, eventstore.Filter{Types: []string{"none"}}))
			return err
		}),
		"is for all tenants": background(func() error {
			_, err := collect(s.Store.Subscribe(eventstore.AllTenants(ctx), 1<<60, eventstore.Filter{}))
			return err
		}),
	}
	<-read
	<-read
	s.close()
	for name, wait := range waits {
		require.ErrorIs(s, wait(), eventstore.ErrClosed, "a subscription that %s", name)
	}
}

func closeWhileReading(s *scene) {
	s = s.alone()
	ctx, stream := s.ctx(), s.stream()
	const n = 2_500
	s.fill(ctx, stream, n)
	closed := make(chan error, 1)
	got := 0
	var ended error
	for _, err := range s.Store.ReadStream(ctx, stream, 1) {
		if ended = err; err != nil {
			break
		}
		if got++; got == 3 {
			go func() { closed <- s.Store.(io.Closer).Close() }()
		}
	}
	if ended != nil {
		require.ErrorIs(s, ended, eventstore.ErrClosed)
	} else {
		require.Equal(s, n, got)
	}
	require.NoError(s, <-closed)
}

func closeWhileAppending(s *scene) {
	s = s.alone()
	ctx, a, b := s.ctx(), s.stream(), s.stream()
	var mu sync.Mutex
	done, refused, appended := map[string]bool{}, map[string]bool{}, 0
	enough := make(chan struct{})
	closed := background(func() error {
		<-enough
		return s.Store.(io.Closer).Close()
	})
	s.race(func(int) error {
		for {
			w := write(a, eventstore.Any, 1)
			id := w.Events[0].ID.String()
			_, err := s.Store.Append(ctx, w, write(b, eventstore.Any, 1))
			unknown, closed := errors.As(err, new(*eventstore.UnknownOutcomeError)), errors.Is(err, eventstore.ErrClosed)
			if err != nil && !unknown && !closed {
				return fmt.Errorf("append while the store is closed: %w", err)
			}
			mu.Lock()
			done[id], refused[id] = err == nil, closed && !unknown
			if appended++; appended == 3*racers {
				close(enough)
			}
			mu.Unlock()
			if closed {
				return nil
			}
		}
	})
	require.NoError(s, closed())
	if s.Reopen == nil {
		return
	}
	s.Store = s.Reopen(s.T)
	all := s.readStream(ctx, a)
	there := map[string]bool{}
	for _, e := range all {
		there[e.ID.String()] = true
		require.False(s, refused[e.ID.String()], "an append that was refused has happened")
	}
	for id, ok := range done {
		require.True(s, !ok || there[id], "an append that succeeded is lost")
	}
	s.requireVersion(ctx, a, len(all))
	s.requireVersion(ctx, b, len(all))
}
