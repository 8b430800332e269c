package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

func TestExpected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expected eventstore.Expected
		allows   []bool // a stream at version 0, 1, 7
		text     string
	}{
		{eventstore.None, []bool{true, false, false}, "no events"},
		{eventstore.Exactly(0), []bool{true, false, false}, "no events"},
		{eventstore.Exactly(7), []bool{false, false, true}, "version 7"},
		{eventstore.Exactly(-1), []bool{false, false, false}, "version -1"},
		{eventstore.Exists, []bool{false, true, true}, "an event"},
		{eventstore.Any, []bool{true, true, true}, "any version"},
		{eventstore.Expected{}, []bool{false, false, false}, "nothing"},
	} {
		for i, version := range []eventstore.Version{0, 1, 7} {
			require.Equal(t, c.allows[i], c.expected.Allows(version), "%v at %d", c.expected, version)
		}
		require.Equal(t, c.text, c.expected.String())
	}
	require.Equal(t, eventstore.None, eventstore.Exactly(0))
	v, ok := eventstore.Exactly(7).Version()
	require.True(t, ok)
	require.EqualValues(t, 7, v)
	for _, e := range []eventstore.Expected{eventstore.Any, eventstore.Exists, {}} {
		_, ok = e.Version()
		require.False(t, ok, e)
	}
}

func TestCategory(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]string{"seats-A-12": "seats", "seats": "seats", "-a": "", "a-": "a", "": "", "日本-1": "日本", "a–b-c": "a–b"} {
		require.Equal(t, want, eventstore.Category(stream), stream)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	require.True(t, eventstore.Filter{}.Matches("", ""))
	f := eventstore.Filter{Categories: []string{"seats", ""}, Types: []string{"held", "sold"}}
	for _, c := range []struct {
		stream, eventType string
		want              bool
	}{
		{"seats-1", "held", true}, {"seats", "sold", true}, {"-1", "sold", true},
		{"seats-1", "lost", false}, {"Seats-1", "held", false}, {"seatsx-1", "held", false}, {"orders-seats", "held", false},
	} {
		require.Equal(t, c.want, f.Matches(c.stream, c.eventType), c)
	}
}

func TestErrorsSayWhatHasHappened(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("0192f0c1-2f3a-7b5c-8d4e-1a2b3c4d5e6f")
	at := time.Date(2030, 1, 2, 3, 4, 5, 600, time.FixedZone("", 3600))
	lost := errors.New("connection lost")
	for want, err := range map[string]error{
		`append to "a": expected version 3, the stream is at version 7`:                &eventstore.ConflictError{Stream: "a", Expected: eventstore.Exactly(3), Actual: 7},
		`append to "a": expected an event, the stream has no events`:                   &eventstore.ConflictError{Stream: "a", Expected: eventstore.Exists},
		`append to "a": event ` + id.String() + ` is already there`:                    &eventstore.DuplicateEventError{Stream: "a", ID: id},
		`idempotency key "k" is taken until 2030-01-02T02:04:05Z`:                      &eventstore.ClaimedError{Claim: eventstore.Claim{Key: "k", Until: at}},
		`append of 2 events: outcome unknown: connection lost`:                         &eventstore.UnknownOutcomeError{IDs: []uuid.UUID{id, id}, Err: lost},
		`from is -1, want at least 0`:                                                  eventstore.CheckFrom(-1),
		`lease of subscription "s" is held by "me" until 2030-01-02T02:04:05.0000006Z`: &eventstore.LeaseHeldError{Subscription: "s", Owner: "me", Expires: at},
		`event 7 of "a": schema 1 of type "t" cannot be brought up to 2`:               &eventstore.SchemaError{Type: "t", Stream: "a", Version: 7, Schema: 1, Known: 2},
		`event 7 of "a" (position 9): decode "t": connection lost`:                     &eventstore.DataError{Type: "t", Stream: "a", Version: 7, Position: 9, Err: lost},
	} {
		require.EqualError(t, err, want)
	}
	require.ErrorIs(t, &eventstore.UnknownOutcomeError{Err: lost}, lost)
	require.ErrorIs(t, &eventstore.DataError{Err: lost}, lost)
}

type temporary struct{ error }

func (temporary) Retryable() bool { return true }

func TestRetryable(t *testing.T) {
	t.Parallel()
	for _, err := range []error{&eventstore.UnknownOutcomeError{Err: context.Canceled}, &eventstore.LeaseHeldError{}, temporary{errors.New("busy")}} {
		require.True(t, eventstore.Retryable(err))
		require.True(t, eventstore.Retryable(fmt.Errorf("do it: %w", err)))
	}
	for _, err := range []error{
		nil, errors.New("no"), context.Canceled, eventstore.ErrClosed, eventstore.ErrFenced, eventstore.ErrNoTenant, eventstore.ErrErased, eventstore.ErrNoKey,
		&eventstore.ConflictError{}, &eventstore.DuplicateEventError{}, &eventstore.ClaimedError{}, &eventstore.InputError{}, &eventstore.DataError{},
	} {
		require.False(t, eventstore.Retryable(err), "%v", err)
	}
}

func TestTenant(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	long := string(make([]byte, eventstore.MaxName+1))
	for _, c := range []struct {
		name               string
		ctx                context.Context //nolint:containedctx // it is what the case is about
		tenant             string
		one, oneIfRequired error // of Tenant
		all                bool  // of ReadTenant
	}{
		{"none", ctx, "", nil, eventstore.ErrNoTenant, false},
		{"empty", eventstore.WithTenant(ctx, ""), "", nil, eventstore.ErrNoTenant, false},
		{"one", eventstore.WithTenant(ctx, "a"), "a", nil, nil, false},
		{"the last one", eventstore.WithTenant(eventstore.WithTenant(ctx, "b"), "a"), "a", nil, nil, false},
		{"all", eventstore.AllTenants(ctx), "", eventstore.ErrNoTenant, eventstore.ErrNoTenant, true},
		{"one again", eventstore.WithTenant(eventstore.AllTenants(ctx), "a"), "a", nil, nil, false},
		{"all again", eventstore.AllTenants(eventstore.WithTenant(ctx, "a")), "", eventstore.ErrNoTenant, eventstore.ErrNoTenant, true},
	} {
		tenant, all := eventstore.TenantFrom(c.ctx)
		require.Equal(t, c.tenant, tenant, c.name)
		require.Equal(t, c.all, all, c.name)
		for required, want := range map[bool]error{false: c.one, true: c.oneIfRequired} {
			tenant, err := eventstore.Tenant(c.ctx, required)
			require.Equal(t, want, err, c.name)
			if err == nil {
				require.Equal(t, c.tenant, tenant, c.name)
			}
			tenant, all, err := eventstore.ReadTenant(c.ctx, required)
			require.Equal(t, c.all, all, c.name)
			if c.all {
				want = nil
			}
			require.Equal(t, want, err, c.name)
			if err == nil {
				require.Equal(t, c.tenant, tenant, c.name)
			}
		}
	}
	for _, bad := range []string{long, "\xff", "a\x00"} {
		_, err := eventstore.Tenant(eventstore.WithTenant(ctx, bad), false)
		require.ErrorAs(t, err, new(*eventstore.InputError))
		_, _, err = eventstore.ReadTenant(eventstore.WithTenant(ctx, bad), false)
		require.ErrorAs(t, err, new(*eventstore.InputError))
	}
}
