//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

func TestServedAndKilledOnSQLite(t *testing.T) {
	t.Parallel()
	serveAndKill(t, "sqlite:"+filepath.Join(t.TempDir(), "sale.db"))
}

func TestServedAndKilledOnPostgres(t *testing.T) {
	t.Parallel()
	serveAndKill(t, migrated(t))
}

// serveAndKill serves a sale in db and kills the program again and again, while
// clients ask for reservations and say the same again until they are answered. Each
// has one reservation in the end, whatever was answered is true, and the audit
// passes.
func serveAndKill(t *testing.T, db string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hung)
	defer cancel()
	seed := rand.Uint64()
	t.Logf("moments of seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	customers, rounds := 64, killRounds(t)
	if testing.Short() {
		customers = 24
	}
	site := &site{begun: make(chan struct{}), answers: make(chan struct{}, 10*customers)}
	last := make([]*client, customers)
	ended := make(chan error, 1)
	go func() { ended <- visit(ctx, site, last) }()

	var p *program
	for kills := 0; ; kills++ {
		p = start(t, "serve", "--db", db, "--addr", "127.0.0.1:0", "--decline", "0.3", "--seed", "7")
		require.True(t, p.until("serving http://"), "killed %d times\n%s%s", kills, &p.out, &p.stderr)
		_, url, _ := strings.Cut(p.out.String(), "serving ")
		url, _, _ = strings.Cut(url, ",")
		site.move(url)
		if kills == rounds {
			break
		}
		// All customers have at least two answers, so there are as many.
		for range rng.IntN(max(2*customers/rounds, 2)) {
			select {
			case <-site.answers:
			case err := <-ended:
				require.NoError(t, err)
				ended <- nil
				<-site.answers // they came faster than we look
			}
		}
		require.NoError(t, p.Process.Kill())
		p.end()
		require.Empty(t, p.stderr.String())
	}
	require.NoError(t, <-ended, "%s", &p.stderr)
	require.NoError(t, p.Process.Signal(os.Interrupt))
	require.Equal(t, exitOK, p.end(), "%s%s", &p.out, &p.stderr)
	inspect(t, db, last)
}

// site is where the program can be reached, which changes when it is started again.
type site struct {
	answers chan struct{} // gets one for each answer, as long as there is room

	mu    sync.Mutex
	url   string        // "" before it was started first
	begun chan struct{} // closed when it is started again
}

func (s *site) move(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.begun)
	s.url, s.begun = url, make(chan struct{})
}

func (s *site) where() (url string, next <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url, s.begun
}

// client is who makes requests one after the other.
type client struct {
	site     *site
	position int64 // the greatest that was answered
	version  string
	told     standing
	raw      string // told as it was answered
}

// standing is how a reservation stands, as it is answered.
type standing struct {
	Reservation ticket.Reservation
	Phase       reservation.Phase
	Reason      ticket.Reason
	Seats       []ticket.Seat
	Price       ticket.Money
	Refunded    ticket.Money
}

// ask makes a request, with a key if it is not "", until it is answered: again when
// the program dies over it, or says that it cannot answer now. It must know of
// everything that it has answered before.
func (c *client) ask(ctx context.Context, method, path, key, body string) (string, error) {
	for {
		url, next := c.site.where()
		text, err := c.try(ctx, method, url+path, key, body)
		var wrong *wrongAnswerError
		if err == nil || errors.As(err, &wrong) {
			return text, err
		}
		select {
		case <-next:
		case <-time.After(100 * time.Millisecond): // it is there, but busy
		case <-ctx.Done():
			return "", fmt.Errorf("%s %s: %w: %w", method, path, ctx.Err(), err)
		}
	}
}

// wrongAnswerError is an answer that should not have been.
type wrongAnswerError struct{ text string }

func (e *wrongAnswerError) Error() string { return e.text }

func (c *client) try(ctx context.Context, method, url, key, body string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Rondo-Position", strconv.FormatInt(c.position, 10))
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	wrong := &wrongAnswerError{fmt.Sprintf("%s %s: %s %s", method, url, response.Status, answer)}
	switch code := response.StatusCode; {
	case code == http.StatusServiceUnavailable && !bytes.Contains(answer, []byte("the log has come to position")):
		return "", errors.New(wrong.text)
	case code != http.StatusOK && code != http.StatusCreated && code != http.StatusAccepted:
		return "", wrong
	}
	position, err := strconv.ParseInt(response.Header.Get("Rondo-Position"), 10, 64)
	if err != nil {
		return "", wrong
	}
	c.position, c.version = max(c.position, position), response.Header.Get("Rondo-Version")
	select {
	case c.site.answers <- struct{}{}:
	default:
	}
	return string(answer), nil
}

// reserves asks something about the client's reservation, and holds the answer to
// what was answered before.
func (c *client) reserves(ctx context.Context, method, path, body string) error {
	raw, err := c.ask(ctx, method, path, "", body)
	if err != nil {
		return err
	}
	was := c.told
	wrong := &wrongAnswerError{fmt.Sprintf("%s %s: %swas before: %s", method, path, raw, c.raw)}
	var is standing
	if err := json.Unmarshal([]byte(raw), &is); err != nil {
		return errors.Join(wrong, err)
	}
	same := fmt.Sprint(was.Seats, was.Price) == fmt.Sprint(is.Seats, is.Price)
	if was.Phase.Decided() && raw != c.raw || len(was.Seats) > 0 && !same {
		return wrong
	}
	c.told, c.raw = is, raw
	return nil
}

// visit puts an event on sale and has each of the clients, which it makes, see a
// reservation to its end.
func visit(ctx context.Context, s *site, clients []*client) error {
	_, begun := s.where()
	<-begun
	organiser := &client{site: s}
	var gala, version string
	for _, step := range []struct{ path, body string }{
		{"/events", `{"name":"gala","tiers":[{"name":"x","price":4525}],"sections":[{"name":"a","tier":"x","rows":[20,20]},{"name":"b","tier":"x","rows":[20,20]}]}`},
		{"/events/gala/publish", ""},
		{"/events/gala/put-on-sale", ""},
	} {
		for again := range 2 {
			answer, err := organiser.ask(ctx, http.MethodPost, step.path, "key of "+step.path, step.body)
			if err != nil {
				return err
			}
			if again > 0 && (answer != gala || organiser.version != version) {
				return fmt.Errorf("%s: version %s: %snot, as before, version %s: %s", step.path, organiser.version, answer, version, gala)
			}
			gala, version = answer, organiser.version
		}
	}
	everybody, ctx := errgroup.WithContext(ctx)
	for i := range clients {
		c := &client{site: s}
		clients[i] = c
		everybody.Go(func() error {
			path := fmt.Sprintf("/reservations/c%d", i)
			wish := fmt.Sprintf(`{"reservation":"c%d","event":"gala","section":"%c","quantity":%d}`, i, 'a'+i%2, 1+i%3)
			if err := c.reserves(ctx, http.MethodPost, "/reservations", wish); err != nil {
				return err
			}
			if cancels(i) {
				if err := c.reserves(ctx, http.MethodPost, path+"/cancel", ""); err != nil {
					return err
				}
			}
			for !c.told.Phase.Decided() {
				if err := c.reserves(ctx, http.MethodGet, path+"?wait=10s", ""); err != nil {
					return err
				}
			}
			return c.reserves(ctx, http.MethodPost, "/reservations", wish)
		})
	}
	return everybody.Wait()
}

// cancels tells whether a client cancels its reservation, which may come too late.
func cancels(client int) bool { return client%4 == 0 }

// inspect audits the sale in db, and holds it to what clients were told last.
func inspect(t *testing.T, db string, clients []*client) {
	t.Helper()
	ctx := t.Context()
	home, err := openHome(ctx, db)
	require.NoError(t, err)
	defer func() { require.NoError(t, home.Close()) }()
	s, err := sale.New(home, home.sagas, sale.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(ctx)) }()
	records, err := s.Records(ctx)
	require.NoError(t, err)
	report := audit.Run(records)
	require.True(t, report.Passed(), "%s", report)
	t.Logf("audit\n%s", report)

	head, err := home.Head(ctx)
	require.NoError(t, err)
	registry, err := sale.Registry()
	require.NoError(t, err)
	happened := map[string]int{} // how often what was recorded, about whom
	for e, err := range eventstore.Decode[any](registry, home.ReadAll(ctx, 0, eventstore.Filter{}), eventstore.FailUnknown) {
		require.NoError(t, err)
		_, about, _ := strings.Cut(e.Stream, "-")
		if held, is := e.Event.(inventory.Held); is {
			about = string(held.Reservation)
		}
		happened[e.Type+" "+about]++
	}
	require.Len(t, records.Opened, len(clients))
	require.Len(t, records.Reservations, len(clients))
	completed := 0
	for i, c := range clients {
		told := c.told
		kept := records.Reservations[told.Reservation]
		is := standing{told.Reservation, kept.Phase, kept.Outcome.Reason, kept.Seats, kept.Price, kept.Outcome.Refunded}
		require.Equal(t, told, is)
		require.GreaterOrEqual(t, int64(head), c.position)
		once := func(what string, wanted bool) {
			t.Helper()
			n := 0
			if wanted {
				n = 1
			}
			require.Equal(t, n, happened[what+" "+string(told.Reservation)], "%s of %s", what, c.raw)
		}
		lines := 1
		if cancels(i) {
			lines = 2 // of its order, and of the cancellation
		}
		require.Equal(t, lines, happened["book.asked "+string(told.Reservation)], c.raw)
		once("inventory.held", len(told.Seats) > 0)
		once("ticket.issued", told.Phase == reservation.Completed)
		if told.Phase == reservation.Completed {
			completed++
			once("payment.requested", true)
			once("gateway.charge-taken", true)
		}
	}
	require.Positive(t, completed)
	require.Equal(t, 1, happened["event.sale-begun gala"])
	require.Equal(t, 1, happened["inventory.opened gala/a"])
}
