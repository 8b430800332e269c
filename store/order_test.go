package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// ordered keeps what each sender's last action was.
type ordered struct {
	last    [16]int
	wrong   []string
	inside  bool // plain on purpose: the race detector looks at it too
	reduced int
}

type numbered struct{ sender, n int }

func (o *ordered) take(a numbered) {
	if o.inside {
		o.wrong = append(o.wrong, "two at a time")
	}
	o.inside = true
	if a.n != o.last[a.sender]+1 {
		o.wrong = append(o.wrong, fmt.Sprintf("%d of sender %d after %d", a.n, a.sender, o.last[a.sender]))
	}
	o.last[a.sender] = a.n
	o.reduced++
	o.inside = false
}

func TestRule1_OneActionAtATimeFirstInFirstOutPerSender(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 3000
	for _, mailbox := range []int{1, 7, 0} {
		t.Run(fmt.Sprintf("mailbox %d", mailbox), func(t *testing.T) {
			t.Parallel()
			s, err := store.New(ordered{}, reducer.Func[ordered, numbered](func(o *ordered, a numbered, _ reducer.Env) effect.Effect[numbered] {
				o.take(a)
				return effect.Effect[numbered]{}
			}), store.Config{Mailbox: mailbox})
			require.NoError(t, err)
			var wg sync.WaitGroup
			for sender := range senders {
				wg.Go(func() {
					for n := range each {
						ctx := background
						if n%3 == 0 { // both ways through Send
							ctx = t.Context()
						}
						if err := s.Send(ctx, numbered{sender, n + 1}); err != nil {
							t.Errorf("sender %d, action %d: %v", sender, n, err)
							return
						}
						if n%100 == 0 {
							// What a sender has sent is reduced when it looks.
							if got := store.View(s, func(o *ordered) int { return o.last[sender] }); got != n+1 {
								t.Errorf("sender %d sees %d, has sent %d", sender, got, n+1)
							}
						}
					}
				})
			}
			wg.Wait()
			require.NoError(t, s.Shutdown(t.Context()))
			end := store.View(s, func(o *ordered) ordered { return *o })
			require.Empty(t, end.wrong)
			require.Equal(t, senders*each, end.reduced)
		})
	}
}

func TestRule1_SendEffectsBeforeTheNextOutsideAction(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 300
	s := open(t, store.Config{Mailbox: 4})
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				deep := act("c", fx.Send(act("e")), fx.Send(act("f")))
				if err := s.Send(background, act("a", fx.Send(act("b")), fx.Send(deep), fx.Send(act("d")))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
	require.Equal(t, strings.TrimSpace(strings.Repeat("a b c d e f ", senders*each)), logOf(s))
}

// A sender that reduces for others is let go after a while.
func TestRule1_ASenderIsNotKeptForTheWorkOfAll(t *testing.T) {
	t.Parallel()
	const others = 2000
	s := open(t, store.Config{Mailbox: others + 1})
	began, goOn, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(returned)
		_ = s.Send(background, acting("first", func(*state, reducer.Env) effect.Effect[action] {
			close(began)
			<-goOn
			return fx.None()
		}))
	}()
	<-began
	for range others {
		send(t, s, act("other"))
	}
	send(t, s, acting("last", func(*state, reducer.Env) effect.Effect[action] {
		<-returned // or it would be the first sender that waits here for itself
		return fx.None()
	}))
	close(goOn)
	require.NoError(t, s.Until(t.Context(), func(s *state) bool { return len(s.names) == others+2 }))
	require.True(t, strings.HasSuffix(logOf(s), " last"))
}

// Results, timers, sends from handlers and from observers come in beside what
// senders send, and nothing is lost or reduced twice.
func TestRule1_AllLanesAtOnce(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 200
	var s *testStore
	var observed atomic.Int64
	s = open(t, store.Config{Mailbox: 2, Workers: 3}, handle(func(ctx context.Context, id string) (string, error) {
		return id, s.Send(ctx, action{name: "handler", n: 1})
	}))
	stop := s.Observe(func(ctx context.Context, e store.Event[state, action]) {
		if observed.Add(1); e.Action.name == "x=x" {
			if err := s.Send(ctx, action{name: "observer", n: 1}); err != nil {
				t.Error(err)
			}
		}
	})
	defer stop()
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				if err := s.SendAndSettle(t.Context(), act("go", do("x"), fx.After(nil, 0, action{name: "timer", n: 1}))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
	end := store.View(s, func(s *state) state { return *s })
	require.Equal(t, 3*senders*each, end.sum)
	require.Len(t, end.names, 5*senders*each)
	require.EqualValues(t, 5*senders*each, observed.Load())
}
