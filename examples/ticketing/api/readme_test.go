package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/examples/ticketing/api"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/saga"
	sagamemory "github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/store"
)

// begin begins a sale in memory, and returns what serves it.
func begin(t *testing.T) (http.Handler, eventstore.Store) {
	t.Helper()
	return beginOn(t, sagamemory.New(sagamemory.Config{}))
}

func beginOn(t *testing.T, sagas saga.Store) (http.Handler, eventstore.Store) {
	t.Helper()
	log, err := memory.New(memory.Config{})
	require.NoError(t, err)
	s, err := sale.New(log, sagas, sale.Config{})
	require.NoError(t, err)
	require.NoError(t, s.Run(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	})
	return api.New(s, log), log
}

var (
	refunded = regexp.MustCompile(`,"refunded":\d+`)
	position = regexp.MustCompile(`position \d+`)
)

// The curl commands of the README are requests that give the output that is
// printed there. On virtual time: however slow the machine is, a card is charged when
// nobody has anything else to do.
func TestREADME(t *testing.T) {
	t.Parallel()
	synctest.Test(t, readme)
}

func readme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	server, _ := begin(t)
	n := 0
	for i, block := range strings.Split(string(text), "```") {
		lines, console := strings.CutPrefix(block, "console\n")
		if i%2 == 0 || !console {
			continue
		}
		for command := range strings.SplitSeq(lines, "$ curl ") {
			if command == "" {
				continue
			}
			line, want, _ := strings.Cut(command, "\n")
			got := curl(t, server, words(line))
			if strings.HasSuffix(line, "/reservations/cat/cancel") {
				// Whether the card was charged by then is a matter of moments.
				want, got = refunded.ReplaceAllString(want, ""), refunded.ReplaceAllString(got, "")
			}
			// How far the saga has come beyond what the answer tells is, too.
			want, got = position.ReplaceAllString(want, "position"), position.ReplaceAllString(got, "position")
			require.Equal(t, want, got, "curl %s", line)
			n++
		}
	}
	require.Greater(t, n, 10)
}

// What no route takes is told as any other error is.
func TestNoRoute(t *testing.T) {
	t.Parallel()
	server, _ := begin(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow, body  string
	}{
		{"GET", "/nothing", http.StatusNotFound, "", "there is no GET /nothing"},
		{"DELETE", "/reservations", http.StatusMethodNotAllowed, "POST", "there is no DELETE /reservations, want POST"},
	} {
		answer := serve(server, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
		var details struct {
			Status int
			Detail string
		}
		require.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"))
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&details))
		require.NoError(t, answer.Body.Close())
		require.Equal(t, c.status, answer.StatusCode)
		require.Equal(t, c.status, details.Status)
		require.Equal(t, c.body, details.Detail)
		require.Equal(t, c.allow, answer.Header.Get("Allow"))
	}
}

// words are those of a line of shell, of which it knows simple quotes.
func words(line string) (all []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	return all
}

func serve(server http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	return w.Result()
}

// curl does what curl does with these arguments.
func curl(t *testing.T, server http.Handler, args []string) string {
	t.Helper()
	method, url, body, format := http.MethodGet, "", "", ""
	header := http.Header{}
	for i := 0; i < len(args); i++ {
		value := func() string { i++; return args[i] }
		switch args[i] {
		case "-s":
		case "-X":
			method = value()
		case "-d":
			if body = value(); method == http.MethodGet {
				method = http.MethodPost
			}
		case "-H":
			name, v, _ := strings.Cut(value(), ": ")
			header.Set(name, v)
		case "-w":
			format = value()
		default:
			require.False(t, strings.HasPrefix(args[i], "-"), "curl %s", args[i])
			url = strings.TrimPrefix(args[i], "localhost:8080")
		}
	}
	request := httptest.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	request.Header = header
	response := serve(server, request)
	defer func() { require.NoError(t, response.Body.Close()) }()
	got, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	told := strings.NewReplacer(`\n`, "\n", "%{http_code}", response.Status[:3],
		"%header{rondo-version}", response.Header.Get("Rondo-Version"),
		"%header{rondo-position}", response.Header.Get("Rondo-Position"),
		"%header{idempotent-replayed}", response.Header.Get("Idempotent-Replayed"),
		"%{content_type}", response.Header.Get("Content-Type")).Replace(format)
	return string(got) + told
}

// The position of an answer about a saga is not below any event that the answer
// tells of, and a session that sends it along is answered by this log.
func TestPositions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, positions)
}

func positions(t *testing.T) {
	server, log := begin(t)
	// ask returns the position of an answer, and the types of the events up to it.
	ask := func(args string) (position string, types []string) {
		t.Helper()
		body, position, there := strings.Cut(curl(t, server, append(strings.Fields(args), "-w", "position=%header{rondo-position}")), "position=")
		p, err := strconv.ParseInt(position, 10, 64)
		require.True(t, there)
		require.NoError(t, err, "curl %s: %s", args, body)
		for e, err := range log.ReadAll(t.Context(), 0, eventstore.Filter{}) {
			require.NoError(t, err)
			if e.Position <= eventstore.Position(p) {
				types = append(types, e.Type)
			}
		}
		return position, types
	}
	ask(`-d {"name":"gala","tiers":[{"name":"x","price":5}],"sections":[{"name":"x","tier":"x","rows":[6]}]} localhost:8080/events`)
	ask(`-X POST localhost:8080/events/gala/publish`)
	ask(`-X POST localhost:8080/events/gala/put-on-sale`)

	held, types := ask(`-d {"reservation":"ann","event":"gala","section":"x","quantity":1} localhost:8080/reservations`)
	require.Contains(t, types, "inventory.held")
	seats := curl(t, server, []string{"-H", "Rondo-Position: " + held, "localhost:8080/events/gala/sections/x"})
	require.Contains(t, seats, `"free":5`)
	_, types = ask(`localhost:8080/reservations/ann?wait=10s`)
	require.Contains(t, types, "ticket.issued")

	ask(`-d {"reservation":"cat","event":"gala","section":"x","quantity":1} localhost:8080/reservations`)
	_, types = ask(`-X POST localhost:8080/reservations/cat/cancel`)
	require.Contains(t, types, "inventory.released")

	ask(`-X POST localhost:8080/events/gala/cancel`)
	last, types := ask(`localhost:8080/events/gala/cancellation`)
	require.Contains(t, types, "ticket.voided")

	for want, status := range map[string]string{last: "200", last + "0": "503", "-1": "400", "soon": "400"} {
		got := curl(t, server, []string{"-H", "Rondo-Position: " + want, "localhost:8080/reservations/ann", "-w", "%{http_code}"})
		require.True(t, strings.HasSuffix(got, status), "Rondo-Position: %s: %s", want, got)
	}
}

// Who asks for a reservation while an operator has paused them is told to ask again,
// and gets it when they go on.
func TestReservationsArePaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, paused)
}

func paused(t *testing.T) {
	home := sagamemory.New(sagamemory.Config{})
	server, _ := beginOn(t, home)
	reserve := func(id string) string {
		return curl(t, server, []string{
			"-d", `{"reservation":"` + id + `","event":"gala","section":"x","quantity":1}`, "localhost:8080/reservations", "-w", " %{http_code}",
		})
	}
	operator, by := saga.NewOperator(home), saga.By{Actor: "eve", Reason: "the hall is being counted"}
	require.NoError(t, operator.PauseType(t.Context(), "reservation", by))
	const heartbeats = 10 * time.Second // the worker learns of it
	require.NoError(t, store.Sleep(t.Context(), heartbeats))
	got := reserve("ann")
	require.True(t, strings.HasSuffix(got, " 503"), got)
	require.Contains(t, got, `"code":"unavailable"`)
	require.Contains(t, got, "an operator has paused this")
	require.NoError(t, operator.ResumeType(t.Context(), "reservation", by))
	require.NoError(t, store.Sleep(t.Context(), heartbeats))
	got = reserve("ann")
	require.True(t, strings.HasSuffix(got, " 200"), got)
}

// What makes no sense is told with the field, and what would be accepted.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	server, _ := begin(t)
	long := strings.Repeat("x", 65)
	for _, c := range []struct{ args, status, want string }{
		{`-d nonsense localhost:8080/events`, "400", `"detail":"the body: invalid character`},
		{`-d {} localhost:8080/events`, "400", `"field":"name"`},
		{`-d {"name":"a"}{} localhost:8080/events`, "400", `the body: something follows the object`},
		{`-d {"name":"a","colour":"red"} localhost:8080/events`, "400", `unknown field \"colour\"`},
		{`-d {"name":"a"} localhost:8080/events`, "422", `"code":"bad-draft"`},
		{`-d {"name":"` + long + `"} localhost:8080/events`, "400", `1 to 64 printable characters`},
		{`-d "` + strings.Repeat("x", 70_000) + `" localhost:8080/events`, "400", `request body too large`},
		{`-X POST localhost:8080/events/gala/publish`, "422", `"code":"no-such-event"`},
		{`-X PUT -d {"price":5} localhost:8080/events/gala/tiers/x`, "422", `"code":"no-such-event"`},
		{`localhost:8080/events/gala`, "404", `there is no event \"gala\"`},
		{`localhost:8080/events/gala/sections/x`, "404", `there is no section \"gala/x\"`},
		{`localhost:8080/reservations/ann`, "404", `there is no reservation \"ann\"`},
		{`localhost:8080/reservations/ann?wait=soon`, "400", `"field":"wait"`},
		{`localhost:8080/reservations/ann?wait=1h`, "400", `at most 30s`},
		{`-X POST localhost:8080/reservations/ann/cancel`, "404", `there is no reservation`},
		{`localhost:8080/events/gala/cancellation`, "404", `there is no cancellation of \"gala\"`},
		{`localhost:8080/payments/ann`, "404", `there is no payment`},
		{`-d {"reservation":"ann","event":"gala","section":"x"} localhost:8080/reservations`, "400", `"field":"quantity"`},
		{`-d {"reservation":"ann","event":"gala","section":"x","quantity":9} localhost:8080/reservations`, "400", `1 to 8`},
		{`-d {"reservation":"ann","event":"gala","section":"x","quantity":1,"seats":["A1"]} localhost:8080/reservations`, "400", `1 to 8`},
		{`-d {"reservation":"ann","event":"gala","section":"x","seats":["1A"]} localhost:8080/reservations`, "400", `\"1A\" is no seat`},
		{`-d {"reservation":"ann","event":"gala","section":"x","quantity":1} localhost:8080/reservations`, "200", `"reason":"no-such-section"`},
		{`-d {"reservation":"ann","event":"gala","section":"x","quantity":1} localhost:8080/reservations`, "200", `"reason":"no-such-section"`},
		{`-d {"reservation":"ann","event":"gala","section":"x","quantity":2} localhost:8080/reservations`, "409", `"code":"idempotency-key-reused"`},
		{`localhost:8080/nowhere`, "404", `there is no GET /nowhere`},
	} {
		got := curl(t, server, append(strings.Fields(c.args), "-w", "%{http_code}"))
		require.Contains(t, got, c.want, "curl %.100s", c.args)
		require.True(t, strings.HasSuffix(got, c.status), "curl %.100s: %s", c.args, got)
	}
}
