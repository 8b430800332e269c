// Package sections is the program of the guide's page on aggregates: the seats of
// a section, sold by commands.
package sections

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/aggregate/httpreply"
	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/eventstore/sqlite"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

type (
	// Command is what can be asked of a section.
	Command interface{ command() }
	// Open puts seats on sale.
	Open struct{ Seats int }
	// Reserve asks for seats.
	Reserve struct {
		Order string `json:"order"`
		Seats int    `json:"seats"`
	}
	// Release gives them back.
	Release struct{ Section, Order string }

	// Event is what happens in one.
	Event  interface{ event() }
	Opened struct {
		Seats int `json:"seats"`
	}
	Reserved struct {
		Order string `json:"order"`
		Seats int    `json:"seats"`
	}
	Released struct {
		Order string `json:"order"`
	}
)

func (Open) command()    {}
func (Reserve) command() {}
func (Release) command() {}
func (Opened) event()    {}
func (Reserved) event()  {}
func (Released) event()  {}

// Returns names what a handler answers.
func (Release) Returns(aggregate.Feedback[Section]) {}

// Section is what a decision needs to know.
type Section struct {
	Free   int            `json:"free"`
	Orders map[string]int `json:"orders"`
}

// Sections decides about sections.
type Sections struct{}

// Decide says what a command makes happen.
func (Sections) Decide(s *Section, c Command, _ reducer.Env) ([]Event, error) {
	switch c := c.(type) {
	case Open:
		return []Event{Opened(c)}, nil
	case Reserve:
		if c.Seats > s.Free {
			return nil, aggregate.Reject("sold-out", "%d seats are left, not %d", s.Free, c.Seats)
		}
		return []Event{Reserved(c)}, nil
	case Release:
		if s.Orders[c.Order] == 0 {
			return nil, nil // it has none
		}
		return []Event{Released{c.Order}}, nil
	}
	return nil, aggregate.Reject("unknown", "sections know no %T", c)
}

// Evolve makes of a state the one after an event.
func (Sections) Evolve(s *Section, e Event) {
	switch e := e.(type) {
	case Opened:
		*s = Section{Free: e.Seats, Orders: map[string]int{}}
	case Reserved:
		s.Free -= e.Seats
		s.Orders[e.Order] += e.Seats
	case Released:
		s.Free += s.Orders[e.Order]
		delete(s.Orders, e.Order)
	}
}

var registry, errRegistry = eventstore.NewRegistry(
	eventstore.TypeOf[Opened]("section.opened", 1),
	eventstore.TypeOf[Reserved]("section.reserved", 1),
	eventstore.TypeOf[Released]("section.released", 1),
)

func host(t *testing.T, log eventstore.Store) *aggregate.Host[Section, Command, Event] {
	t.Helper()
	require.NoError(t, errRegistry)
	sections, err := aggregate.New("section", Sections{}, registry, log, aggregate.Config[Section]{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sections.Shutdown(context.WithoutCancel(t.Context()))) })
	return sections
}

func open(t *testing.T) eventstore.Store {
	t.Helper()
	log, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hall.db"), sqlite.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return log
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	testkit.Given(t, Sections{}, Opened{Seats: 3}).
		When(Reserve{Order: "ann", Seats: 2}).
		Then(Reserved{"ann", 2}).
		ThenState(func(s *Section) { s.Free = 1; s.Orders["ann"] = 2 }).
		When(Reserve{Order: "bob", Seats: 2}).
		ThenRejected("sold-out").
		When(Release{Order: "bob"}).
		ThenNothing()
}

func TestFeedback(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	sections := host(t, open(t))
	_, err := sections.Execute(ctx, "A", Open{Seats: 3})
	require.NoError(t, err)

	got, err := sections.Execute(ctx, "A", Reserve{Order: "ann", Seats: 2})
	require.NoError(t, err)
	require.Equal(t, 1, got.State.Free)
	require.Equal(t, eventstore.Version(2), got.Version)

	_, err = sections.Execute(ctx, "A", Reserve{Order: "bob", Seats: 2})
	var rejection *aggregate.RejectionError
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, "sold-out", rejection.Code)
}

func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	log := open(t)
	here, there := host(t, log), host(t, log)
	_, err := here.Execute(ctx, "A", Open{Seats: 3})
	require.NoError(t, err)
	_, err = there.Execute(ctx, "A", Reserve{Order: "ann", Seats: 2})
	require.NoError(t, err)

	// What is in memory here says that three seats are free.
	_, err = here.Execute(ctx, "A", Reserve{Order: "bob", Seats: 2})
	require.EqualError(t, err, `section "A": rejected: 1 seats are left, not 2 (sold-out)`)
}

func TestAskedTwice(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	sections := host(t, open(t))
	_, err := sections.Execute(ctx, "A", Open{Seats: 3})
	require.NoError(t, err)

	reserve := Reserve{Order: "ann", Seats: 2}
	first, err := sections.Execute(ctx, "A", reserve, aggregate.WithKey("request-7"))
	require.NoError(t, err)
	again, err := sections.Execute(ctx, "A", reserve, aggregate.WithKey("request-7"))
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, first.State, again.State)
}

// serve takes reservations.
func serve(sections *aggregate.Host[Section, Command, Event]) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sections/{id}/reservations", func(w http.ResponseWriter, r *http.Request) {
		var reserve Reserve
		if err := json.NewDecoder(r.Body).Decode(&reserve); err != nil {
			httpreply.Error(w, r, &eventstore.InputError{Field: "body", Value: err.Error(), Want: "a reservation"})
			return
		}
		var options []aggregate.Option
		if key := r.Header.Get("Idempotency-Key"); key != "" {
			options = append(options, aggregate.WithKey(key))
		}
		got, err := sections.Execute(r.Context(), r.PathValue("id"), reserve, options...)
		if err != nil {
			httpreply.Error(w, r, err)
			return
		}
		httpreply.Feedback(w, http.StatusCreated, got, got.State)
	})
	return mux
}

func TestServe(t *testing.T) {
	t.Parallel()
	sections := host(t, open(t))
	_, err := sections.Execute(t.Context(), "A", Open{Seats: 3})
	require.NoError(t, err)
	post := func(body, key string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/sections/A/reservations", strings.NewReader(body))
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		w := httptest.NewRecorder()
		serve(sections).ServeHTTP(w, r)
		return w
	}
	w := post(`{"order":"ann","seats":2}`, "request-1")
	require.Equal(t, http.StatusCreated, w.Code)
	require.JSONEq(t, `{"free":1,"orders":{"ann":2}}`, w.Body.String())
	require.Equal(t, "2", w.Header().Get(httpreply.HeaderVersion))

	w = post(`{"order":"eve","seats":9}`, "")
	require.Equal(t, http.StatusUnprocessableEntity, w.Code, "a key is not asked for")

	w = post(`{"order":"bob","seats":2}`, "request-2")
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))

	require.Equal(t, http.StatusBadRequest, post(`{`, "request-3").Code)
}

func TestLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, err := memory.New(memory.Config{})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		sections := host(t, log)
		_, err = sections.Execute(ctx, "A", Open{Seats: 3})
		require.NoError(t, err)
		_, err = sections.Execute(ctx, "A", Reserve{Order: "ann", Seats: 2})
		require.NoError(t, err)

		bus, err := command.New(log, log, []command.Route{
			command.Handle("release-seats", func(ctx context.Context, c Release) (aggregate.Feedback[Section], error) {
				return sections.Execute(ctx, c.Section, c, command.Key(ctx))
			}),
		}, command.Config{})
		require.NoError(t, err)
		done := make(chan error)
		go func() { done <- bus.Run(ctx) }()

		receipt, err := command.Schedule(ctx, bus, time.Now().Add(5*time.Minute), Release{"A", "ann"})
		require.NoError(t, err)
		record, err := bus.Wait(ctx, receipt.ID)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
		now, err := sections.Load(ctx, "A")
		require.NoError(t, err)
		require.Equal(t, 3, now.State.Free)

		stop()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}
