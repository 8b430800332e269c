package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
)

func TestKeyRepeats(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	h := hallsOn(t, log, aggregate.Config[hall]{})
	ctx := t.Context()
	_, err := h.Execute(ctx, "a", build{3})
	require.NoError(t, err)

	first, err := h.Execute(ctx, "a", take{"ada", []string{"1", "2"}}, aggregate.WithKey("k"))
	require.NoError(t, err)
	_, rejection := h.Execute(ctx, "a", take{"bob", []string{"2"}}, aggregate.WithKey("bob's"))
	require.True(t, aggregate.IsRejection(rejection))
	nothing, err := h.Execute(ctx, "a", idle{}, aggregate.WithKey("idle"))
	require.NoError(t, err)
	_, own := h.Execute(ctx, "a", whoop{"own"}, aggregate.WithKey("own"))
	require.ErrorIs(t, own, errOwn)

	// Things go on: the same commands would be decided otherwise now.
	_, err = h.Execute(ctx, "a", leave{"ada"})
	require.NoError(t, err)
	events := len(log.stream(t, ctx, "hall-a"))

	repeat := func(t *testing.T, h *hallHost) {
		t.Helper()
		again, err := h.Execute(ctx, "a", take{"ada", []string{"1", "2"}}, aggregate.WithKey("k"))
		require.NoError(t, err)
		require.True(t, again.Replayed)
		again.Replayed = false
		require.Equal(t, first, again, "the same feedback")

		_, err = h.Execute(ctx, "a", take{"bob", []string{"2"}}, aggregate.WithKey("bob's"))
		require.EqualError(t, err, rejection.Error())
		var was, is *aggregate.RejectionError
		require.ErrorAs(t, rejection, &was)
		require.ErrorAs(t, err, &is)
		require.Equal(t, was, is)

		again, err = h.Execute(ctx, "a", idle{}, aggregate.WithKey("idle"))
		require.NoError(t, err)
		require.True(t, again.Replayed)
		again.Replayed = false
		require.Equal(t, nothing, again)

		_, err = h.Execute(ctx, "a", whoop{"own"}, aggregate.WithKey("own"))
		require.EqualError(t, err, own.Error())

		var reused *aggregate.KeyReusedError
		for what, c := range map[string]any{"payload": take{"ada", []string{"1"}}, "type": leave{"ada"}} {
			_, err = h.Execute(ctx, "a", c, aggregate.WithKey("k"))
			require.ErrorAs(t, err, &reused, what)
			require.Equal(t, "k", reused.Key)
			require.True(t, aggregate.IsConflict(err))
		}
		_, err = h.Execute(ctx, "b", take{"ada", []string{"1", "2"}}, aggregate.WithKey("k"))
		require.ErrorAs(t, err, &reused, "another aggregate")
		require.Len(t, log.stream(t, ctx, "hall-a"), events, "nothing is done again")
	}
	repeat(t, h)
	repeat(t, hallsOn(t, log, aggregate.Config[hall]{})) // after a restart

	_, err = h.Execute(eventstore.WithTenant(ctx, "acme"), "a", build{3}, aggregate.WithKey("k"))
	require.NoError(t, err, "keys are those of a tenant")
}

func TestKeyTwoAtOnce(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	hosts := []*hallHost{hallsOn(t, log, aggregate.Config[hall]{}), hallsOn(t, log, aggregate.Config[hall]{})}
	var replayed atomic.Int64
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			got, err := hosts[i%2].Execute(t.Context(), "a", build{3}, aggregate.WithKey("k"))
			require.NoError(t, err)
			require.EqualValues(t, 1, got.Version)
			require.Equal(t, 3, got.State.Size)
			if got.Replayed {
				replayed.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 39, replayed.Load())
	require.Len(t, log.stream(t, t.Context(), "hall-a"), 1)
}

// A crowd that repeats what it has asked for, as clients do after an outage, costs
// one append and not one for each: else it would be served more slowly than it comes
// back, for ever.
func TestKeysOfACrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const crowd = 100
		log := newLog(t)
		note := func(h *hallHost, who string, i int) (aggregate.Feedback[hall], error) {
			return h.Execute(t.Context(), "a", note{fmt.Sprint(who, i)}, aggregate.WithKey(fmt.Sprint(who, i)))
		}
		before := hallsOn(t, log, aggregate.Config[hall]{})
		for i := range crowd {
			_, err := note(before, "old", i)
			require.NoError(t, err)
		}

		h := hallsOn(t, log, aggregate.Config[hall]{})
		log.appends.Store(0)
		goOn := make(chan struct{})
		log.on(func(context.Context, []eventstore.Write) error { <-goOn; return nil }, nil)
		go note(h, "first", 0) //nolint:errcheck // it holds the others up
		synctest.Wait()
		var told sync.WaitGroup
		for i := range crowd {
			told.Go(func() {
				got, err := note(h, "old", i)
				require.NoError(t, err)
				require.True(t, got.Replayed)
				require.EqualValues(t, i+1, got.Version)
			})
			if i%10 == 0 {
				told.Go(func() {
					got, err := note(h, "new", i)
					require.NoError(t, err)
					require.False(t, got.Replayed)
					require.Greater(t, got.Version, eventstore.Version(crowd))
				})
			}
		}
		synctest.Wait()
		close(goOn)
		told.Wait()
		require.EqualValues(t, 3, log.appends.Load(), "the first, the crowd, and those of it who are new")
		require.Len(t, log.stream(t, t.Context(), "hall-a"), crowd+1+crowd/10)
	})
}

func TestKeyWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{KeepKeys: time.Hour})
		take := func() (aggregate.Feedback[hall], error) {
			return h.Execute(t.Context(), "a", take{"ada", []string{"1"}}, aggregate.WithKey("k"))
		}
		_, err := take()
		require.True(t, aggregate.IsRejection(err))
		_, err = h.Execute(t.Context(), "a", build{3})
		require.NoError(t, err)
		time.Sleep(time.Hour - time.Second) //nolint:forbidigo // the clock is virtual
		_, err = take()
		require.True(t, aggregate.IsRejection(err), "it is kept")
		time.Sleep(2 * time.Second) //nolint:forbidigo // the clock is virtual
		got, err := take()
		require.NoError(t, err, "its window has ended")
		require.False(t, got.Replayed)
	})
}

// Keys whose time has run out go as others come.
func TestExpiredKeysAreDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{KeepKeys: time.Hour})
		use := func(prefix string) {
			for i := range 300 {
				_, err := h.Execute(t.Context(), fmt.Sprint(prefix, i), build{3}, aggregate.WithKey(fmt.Sprint(prefix, i)))
				require.NoError(t, err)
			}
		}
		use("early")
		time.Sleep(2 * time.Hour) //nolint:forbidigo // the clock is virtual
		use("late")
		left, err := log.DeleteExpiredClaims(t.Context(), 1000)
		require.NoError(t, err)
		require.Zero(t, left)
		_, found, err := log.LoadClaim(t.Context(), "late0")
		require.NoError(t, err)
		require.True(t, found)
	})
}

var errLost = errors.New("connection lost")

// The append happens, its answer is lost: the events' ids tell.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]aggregate.Option{"without key": nil, "with key": {aggregate.WithKey("k")}} {
		for _, c := range []any{build{3}, take{"ada", []string{"1"}}, idle{}} {
			t.Run(fmt.Sprintf("%s, %T", name, c), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					log := newLog(t)
					lost := 0
					log.on(nil, func(_ context.Context, err error) error {
						if lost++; lost <= 3 {
							return &eventstore.UnknownOutcomeError{Err: errLost}
						}
						return err
					})
					h := hallsOn(t, log, aggregate.Config[hall]{})
					got, err := h.Execute(t.Context(), "a", c, opts...)
					if _, ok := c.(take); ok {
						require.True(t, aggregate.IsRejection(err))
						return
					}
					require.NoError(t, err)
					require.False(t, got.Replayed, "it is this command's own doing")
					events := 1
					if c == (idle{}) {
						events = 0
					}
					require.EqualValues(t, events, got.Version)
					require.Len(t, got.Events, events)
					require.Len(t, log.stream(t, t.Context(), "hall-a"), events)
				})
			})
		}
	}
}

// The answer is lost for good: the key tells, to whoever asks.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		t.Run(fmt.Sprint("it has happened: ", happened), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := newLog(t)
				h := hallsOn(t, log, aggregate.Config[hall]{})
				_, err := h.Execute(t.Context(), "a", build{3})
				require.NoError(t, err)
				lose := func(context.Context, error) error { return &eventstore.UnknownOutcomeError{Err: errLost} }
				if happened {
					log.on(nil, lose)
				} else {
					log.on(func(ctx context.Context, _ []eventstore.Write) error { return lose(ctx, nil) }, nil)
				}
				_, err = h.Execute(t.Context(), "a", take{"ada", []string{"1"}}, aggregate.WithKey("k"))
				var cut *aggregate.InterruptedError
				require.ErrorAs(t, err, &cut)
				require.True(t, cut.MaybeDone)
				require.Equal(t, "k", cut.Key)
				require.ErrorIs(t, err, errLost)
				require.True(t, aggregate.Retryable(err))
				require.False(t, aggregate.IsPermanent(err))
				_, err = h.Execute(t.Context(), "a", take{"bob", []string{"2"}})
				require.ErrorAs(t, err, &cut)
				require.False(t, aggregate.Retryable(err), "without a key it might be done twice")

				log.on(nil, nil)
				got, err := h.Execute(t.Context(), "a", take{"ada", []string{"1"}}, aggregate.WithKey("k"))
				require.NoError(t, err)
				require.Equal(t, happened, got.Replayed)
				require.Equal(t, "ada", got.State.Taken["1"])
				looked, err := h.Load(t.Context(), "a")
				require.NoError(t, err)
				require.Equal(t, happened, looked.State.Taken["2"] == "bob")
			})
		})
	}
}

func TestKeyInput(t *testing.T) {
	t.Parallel()
	h := hallsOn(t, newLog(t), aggregate.Config[hall]{})
	var input *eventstore.InputError
	for _, key := range []string{"", strings.Repeat("k", 300), "\xff", "a\x00b"} {
		_, err := h.Execute(t.Context(), "a", build{3}, aggregate.WithKey(key))
		require.ErrorAs(t, err, &input, "%q", key)
		require.Equal(t, "idempotency key", input.Field)
		require.True(t, aggregate.IsPermanent(err))
	}
	_, err := h.Execute(t.Context(), "a", func() {}, aggregate.WithKey("k"))
	require.ErrorContains(t, err, "so it must be possible to encode it")
	require.Zero(t, h.Len(), "nothing was begun")

	// A key that something else has taken is not taken for a command's.
	log := newLog(t)
	_, err = log.Store.Append(t.Context(), eventstore.Write{Claim: &eventstore.Claim{Key: "k", Result: []byte("another's"), Until: time.Now().Add(time.Hour)}})
	require.NoError(t, err)
	_, err = hallsOn(t, log, aggregate.Config[hall]{}).Execute(t.Context(), "a", build{3}, aggregate.WithKey("k"))
	var reused *aggregate.KeyReusedError
	require.ErrorAs(t, err, &reused)
}

// One repetition in a batch does not keep the others from being done together.
func TestKeyRepeatedInABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{})
		_, err := h.Execute(t.Context(), "a", build{9}, aggregate.WithKey("k"))
		require.NoError(t, err)
		g := newGate()
		log.on(g.pass, nil)
		before := log.appends.Load()
		var wg sync.WaitGroup
		run := func(c any, opts ...aggregate.Option) {
			wg.Go(func() {
				got, err := h.Execute(t.Context(), "a", c, opts...)
				require.NoError(t, err)
				require.Equal(t, c == build{9}, got.Replayed)
			})
			synctest.Wait()
		}
		run(leave{"nobody"})
		for i := range 10 {
			run(leave{fmt.Sprint(i)})
		}
		run(build{9}, aggregate.WithKey("k"))
		for i := range 10 {
			run(leave{fmt.Sprint("x", i)})
		}
		close(g.open)
		wg.Wait()
		require.EqualValues(t, 3, log.appends.Load()-before, "the first, all, all without the repetition")
	})
}
