package store_test

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/store"
)

func TestRule3_AFullMailboxNeverBlocksResults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const calls, senders = 20, 10
		var ended atomic.Int64
		s := open(t, store.Config{Mailbox: 1, Workers: 2, Hooks: store.Hooks{
			EffectEnded: func(_ context.Context, e store.EffectInfo, _ time.Duration, _ error) {
				if e.Kind == "request" {
					ended.Add(1)
				}
			},
		}}, handle(func(ctx context.Context, id string) (string, error) {
			return id, store.Sleep(ctx, time.Second)
		}), counts(nil))
		for i := range calls {
			send(t, s, act("go", do(strconv.Itoa(i)), fx.After(i, time.Second, act("timer"))))
		}
		send(t, s, act("go", count(1)))
		synctest.Wait() // all wait for their time to come
		release := occupied(t, s)
		sent := make(chan error, senders)
		for range senders {
			go func() { sent <- s.Send(t.Context(), act("outside")) }()
		}
		synctest.Wait() // one is in the mailbox, nine wait
		require.Len(t, sent, 1)
		require.Contains(t, s.Health().Reasons[0], "mailbox is full: 1 actions wait, 9 senders")

		time.Sleep(time.Minute) //nolint:forbidigo // virtual: all handlers end, with two workers
		require.EqualValues(t, calls, ended.Load())

		release()
		for range senders {
			require.NoError(t, <-sent)
		}
		require.NoError(t, s.Shutdown(t.Context()))
		log := logOf(s)
		require.Equal(t, calls, strings.Count(log, "="))
		require.Equal(t, calls, strings.Count(log, "timer"))
		require.Equal(t, senders, strings.Count(log, "outside"))
		// The action in the mailbox came first; the others after the results.
		_, after, _ := strings.Cut(log, "busy outside ")
		require.NotEmpty(t, after, log)
		require.Greater(t, strings.Index(after, "outside"), strings.LastIndex(after, "="))
	})
}

func TestRule3_TheBoundIsAppliedAtAdmission(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{Mailbox: 3, WhenFull: store.Reject})
	release := occupied(t, s)
	var accepted int
	for range 10 {
		if err := s.Send(t.Context(), action{n: 1}); err != nil {
			require.ErrorIs(t, err, store.ErrMailboxFull)
			continue
		}
		accepted++
	}
	require.Equal(t, 3, accepted)
	require.Equal(t, store.Degraded, s.Health().Status)
	release()
	require.NoError(t, s.Until(t.Context(), func(s *state) bool { return s.sum == accepted }))
	require.NoError(t, s.Send(t.Context(), action{n: 1}), "there is room again")
	require.NoError(t, s.Shutdown(t.Context()))
	require.Equal(t, accepted+1, store.View(s, func(s *state) int { return s.sum }))
}

// Feedback, results and what observers send are not bounded, even where one
// action makes more of them than the mailbox holds.
func TestRule3_WhatActionsCauseIsNotBounded(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{Mailbox: 1, WhenFull: store.Reject}, handle(func(_ context.Context, id string) (string, error) { return id, nil }))
	defer s.Observe(func(ctx context.Context, e store.Event[state, action]) {
		if e.Action.name == "go" {
			for range 10 {
				if err := s.Send(ctx, action{name: "observer", n: 1}); err != nil {
					t.Error(err)
				}
			}
		}
	})()
	var effects []effect.Effect[action]
	for range 10 {
		effects = append(effects, fx.Send(action{n: 1}), do("x"), fx.After(nil, 0, action{n: 1}))
	}
	require.NoError(t, s.SendAndSettle(t.Context(), act("go", effects...)))
	require.Equal(t, 30, store.View(s, func(s *state) int { return s.sum }))
	require.Equal(t, 10, strings.Count(logOf(s), "x=x"))
}
