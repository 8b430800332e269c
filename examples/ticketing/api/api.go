// Package api is the sale over HTTP. What changes an event answers with the event
// as it is then, with its version and position: whoever asked need not ask again.
// Errors are problem details (application/problem+json), with the code of the
// rejection; see package aggregate/httpreply.
//
//	POST /events                              draft an event
//	POST /events/{event}/publish              and put-on-sale, close, cancel
//	PUT  /events/{event}/tiers/{tier}         change a price
//	GET  /events/{event}
//	GET  /events/{event}/cancellation         answers when everybody is refunded
//	GET  /events/{event}/sections/{section}   its seats: · free, ○ held, ● sold
//	POST /reservations                        answers when seats are held, or refused
//	GET  /reservations/{id}                   ?wait=10s waits for its end
//	POST /reservations/{id}/cancel            answers when everything is undone
//	GET  /payments/{id}
//
// A POST to events takes an Idempotency-Key; a reservation's is its id.
//
// Every answer that is no error has a Rondo-Position: whoever reads from a read
// model afterwards asks it for that position at least. Of an event, a section and a
// payment it is that of their last event, and there is a Rondo-Version; where an event
// is put on sale or closed it is that of the last section. A
// reservation and a cancellation are sagas, which have neither: it is the log's head,
// read after their decision was. A request that has a Rondo-Position is answered 503
// by a log that has not come so far, such as one restored from a backup: nobody is
// told less than they knew.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/aggregate/httpreply"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/show"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/saga"
)

const (
	// maxBody is how long the body of a request may be, in bytes.
	maxBody = 64 << 10
	// maxWait is how long a request may wait for a reservation.
	maxWait = 30 * time.Second
)

// Log is what the api asks of the sale's log.
type Log interface {
	// Head is the greatest committed position; see eventstore.Store.
	Head(ctx context.Context) (eventstore.Position, error)
}

// New makes the handler of a sale with that log. It may be called from any
// goroutine.
func New(s *sale.Sale, log Log) http.Handler {
	a := &api{s, log}
	mux := http.NewServeMux()
	for pattern, f := range map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /events":                           a.draft,
		"POST /events/{event}/publish":           a.event(event.Publish{}),
		"POST /events/{event}/put-on-sale":       a.event(event.PutOnSale{}),
		"POST /events/{event}/close":             a.event(event.Close{}),
		"POST /events/{event}/cancel":            a.event(event.Cancel{}),
		"PUT /events/{event}/tiers/{tier}":       a.setPrice,
		"GET /events/{event}":                    a.showEvent,
		"GET /events/{event}/cancellation":       a.showCancellation,
		"GET /events/{event}/sections/{section}": a.showSection,
		"POST /reservations":                     a.reserve,
		"GET /reservations/{id}":                 a.showReservation,
		"POST /reservations/{id}/cancel":         a.cancel,
		"GET /payments/{id}":                     a.showPayment,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			err := a.reaches(r)
			if err == nil {
				err = f(w, r)
			}
			if errors.Is(err, saga.ErrPaused) {
				err = &statusError{http.StatusServiceUnavailable, "an operator has paused this: try again later"}
			}
			if err != nil {
				httpreply.Error(w, r, err)
			}
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		verdict := statusError{text: fmt.Sprintf("there is no %s %s", r.Method, r.URL.Path)}
		refuse.ServeHTTP(&refusal{w.Header(), &verdict.status}, r)
		if allow := w.Header().Get("Allow"); allow != "" {
			verdict.text += ", want " + allow
		}
		httpreply.Error(w, r, &verdict)
	})
}

// refusal takes of an answer what is not its text.
type refusal struct {
	header http.Header
	status *int
}

func (r *refusal) Header() http.Header            { return r.header }
func (r *refusal) WriteHeader(status int)         { *r.status = status }
func (r *refusal) Write(text []byte) (int, error) { return len(text), nil }

type api struct {
	sale *sale.Sale
	log  Log
}

// statusError is an error with the status that it has over HTTP.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// HTTPStatus is asked by package httpreply.
func (e *statusError) HTTPStatus() int { return e.status }

func notFound(what, id string) error {
	return &statusError{http.StatusNotFound, fmt.Sprintf("there is no %s %q", what, id)}
}

// decode reads a body, all of whose fields must be known.
func decode(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if _, more := d.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("something follows the object")
	}
	if err != nil {
		return &statusError{http.StatusBadRequest, "the body: " + err.Error()}
	}
	return nil
}

// name checks what becomes part of the name of a stream.
func name(field, value string) error {
	n := utf8.RuneCountInString(value)
	for _, r := range value {
		if !unicode.IsPrint(r) {
			n = 0
		}
	}
	if n < 1 || n > 64 {
		return &eventstore.InputError{Field: field, Value: strconv.Quote(value), Want: "a name of 1 to 64 printable characters"}
	}
	return nil
}

// options are those that the headers of a request say.
func options(r *http.Request) (opts []aggregate.Option) {
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		opts = append(opts, aggregate.WithKey(key))
	}
	return opts
}

// reaches checks that the log has come as far as the request wants it.
func (a *api) reaches(r *http.Request) error {
	text := r.Header.Get(httpreply.HeaderPosition)
	if text == "" {
		return nil
	}
	want, err := strconv.ParseInt(text, 10, 64)
	if err != nil || want < 0 {
		return &eventstore.InputError{Field: httpreply.HeaderPosition, Value: strconv.Quote(text), Want: "a whole number from 0"}
	}
	head, err := a.log.Head(r.Context())
	if err == nil && head < eventstore.Position(want) {
		err = &statusError{http.StatusServiceUnavailable, fmt.Sprintf("the log has come to position %d, not to %d", head, want)}
	}
	return err
}

func (a *api) draft(w http.ResponseWriter, r *http.Request) error {
	var d event.Draft
	if err := decode(r, &d); err != nil {
		return err
	}
	if err := name("name", d.Name); err != nil {
		return err
	}
	got, err := a.sale.Event(r.Context(), d.Name, d, options(r)...)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/events/"+d.Name)
	httpreply.Feedback(w, http.StatusCreated, got, got.State)
	return nil
}

func (a *api) event(c event.Command) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		got, err := a.sale.Event(r.Context(), r.PathValue("event"), c, options(r)...)
		if err == nil {
			httpreply.Feedback(w, http.StatusOK, got, got.State)
		}
		return err
	}
}

func (a *api) setPrice(w http.ResponseWriter, r *http.Request) error {
	c := event.SetPrice{Tier: r.PathValue("tier")}
	if err := decode(r, &struct{ Price *ticket.Money }{&c.Price}); err != nil {
		return err
	}
	return a.event(c)(w, r)
}

func (a *api) showEvent(w http.ResponseWriter, r *http.Request) error {
	got, err := a.sale.EventState(r.Context(), r.PathValue("event"))
	if err == nil && got.State.Phase == "" {
		err = notFound("event", r.PathValue("event"))
	}
	if err == nil {
		httpreply.Feedback(w, http.StatusOK, got, got.State)
	}
	return err
}

func (a *api) showCancellation(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), maxWait)
	defer cancel()
	done, err := a.sale.AwaitCancellation(ctx, r.PathValue("event"))
	if errors.Is(err, saga.ErrNotFound) {
		err = notFound("cancellation of", r.PathValue("event"))
	}
	if err != nil {
		return err
	}
	return a.write(w, r, http.StatusOK, struct {
		Revoked  int          `json:"revoked"`
		Refunded ticket.Money `json:"refunded"`
	}{done.Revoked, done.Refunded})
}

// section is what is shown of a section.
type section struct {
	Event string      `json:"event"`
	Name  string      `json:"name"`
	Tier  ticket.Tier `json:"tier"`
	Free  int         `json:"free"`
	Seats []string    `json:"seats"` // a row each, the front row first
}

func (a *api) showSection(w http.ResponseWriter, r *http.Request) error {
	id := ticket.Section{Event: r.PathValue("event"), Name: r.PathValue("section")}
	got, err := a.sale.Section(r.Context(), id)
	if err == nil && got.State.ID != id {
		err = notFound("section", id.String())
	}
	if err == nil {
		s := &got.State
		httpreply.Feedback(w, http.StatusOK, got, section{id.Event, id.Name, s.Tier, s.Free(), show.Rows(s)})
	}
	return err
}

func (a *api) showPayment(w http.ResponseWriter, r *http.Request) error {
	got, err := a.sale.Payment(r.Context(), ticket.Reservation(r.PathValue("id")))
	if err == nil && got.State.Phase == "" {
		err = notFound("payment", r.PathValue("id"))
	}
	if err == nil {
		httpreply.Feedback(w, http.StatusOK, got, got.State)
	}
	return err
}

// wish is a reservation as it is asked for.
type wish struct {
	Reservation ticket.Reservation `json:"reservation"`
	Customer    string             `json:"customer"`
	Event       string             `json:"event"`
	Section     string             `json:"section"`
	Quantity    int                `json:"quantity"`
	Seats       []ticket.Seat      `json:"seats"`
}

// order checks a wish.
func (q *wish) order() (reservation.Order, error) {
	if q.Customer == "" {
		q.Customer = string(q.Reservation)
	}
	o := reservation.Order{
		Reservation: q.Reservation, Customer: q.Customer,
		Section: ticket.Section{Event: q.Event, Name: q.Section}, Quantity: q.Quantity, Chosen: q.Seats,
	}
	err := errors.Join(name("reservation", string(q.Reservation)), name("customer", q.Customer), name("event", q.Event), name("section", q.Section))
	if err != nil {
		return o, err
	}
	if n := max(q.Quantity, len(q.Seats)); n < 1 || n > inventory.MaxSeats || q.Quantity > 0 && len(q.Seats) > 0 {
		return o, &eventstore.InputError{
			Field: "quantity", Value: strconv.Itoa(q.Quantity), Want: fmt.Sprintf("1 to %d, or that many seats", inventory.MaxSeats),
		}
	}
	return o, nil
}

// standing is what is shown of a reservation.
type standing struct {
	Reservation ticket.Reservation `json:"reservation"`
	Phase       reservation.Phase  `json:"phase"`
	Reason      ticket.Reason      `json:"reason,omitempty"`
	Seats       []ticket.Seat      `json:"seats,omitempty"`
	Price       ticket.Money       `json:"price,omitempty"`
	Refunded    ticket.Money       `json:"refunded,omitempty"`
}

func (a *api) reserve(w http.ResponseWriter, r *http.Request) error {
	var q wish
	if err := decode(r, &q); err != nil {
		return err
	}
	order, err := q.order()
	if err != nil {
		return err
	}
	if err := a.first(&order); err != nil {
		return err
	}
	if err := a.sale.Start(r.Context(), order); err != nil {
		return err
	}
	if err := a.first(&order); err != nil { // another came at the same time
		return err
	}
	w.Header().Set("Location", "/reservations/"+string(order.Reservation))
	return a.answer(w, r, http.StatusAccepted, order.Reservation, maxWait, func(s reservation.State) bool {
		return len(s.Seats) > 0 || s.Phase.Decided()
	})
}

// first refuses an order whose reservation is of another one.
func (a *api) first(order *reservation.Order) error {
	s, known := a.sale.Reservation(order.Reservation)
	was := &s.Order
	switch {
	case !known, was.Section == ticket.Section{}: // it was cancelled before it began
		return nil
	case was.Customer != order.Customer, was.Section != order.Section, was.Quantity != order.Quantity, !slices.Equal(was.Chosen, order.Chosen):
		return &aggregate.KeyReusedError{Key: string(order.Reservation)}
	}
	return nil
}

func (a *api) showReservation(w http.ResponseWriter, r *http.Request) error {
	var wait time.Duration
	if text := r.URL.Query().Get("wait"); text != "" {
		var err error
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 || wait > maxWait {
			return &eventstore.InputError{Field: "wait", Value: strconv.Quote(text), Want: `a time such as "10s", at most ` + maxWait.String()}
		}
	}
	return a.answer(w, r, http.StatusOK, ticket.Reservation(r.PathValue("id")), wait, func(s reservation.State) bool { return s.Phase.Decided() })
}

func (a *api) cancel(w http.ResponseWriter, r *http.Request) error {
	id := ticket.Reservation(r.PathValue("id"))
	if _, known := a.sale.Reservation(id); !known {
		return notFound("reservation", string(id))
	}
	if _, err := a.sale.Cancel(r.Context(), id); err != nil {
		return err
	}
	return a.answer(w, r, http.StatusOK, id, 0, func(reservation.State) bool { return true })
}

// answer tells how a reservation stands: when it stands as wanted, or after a
// while. It is 200 once the reservation is decided.
func (a *api) answer(w http.ResponseWriter, r *http.Request, status int, id ticket.Reservation, wait time.Duration, want func(reservation.State) bool) error {
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	s, err := a.sale.Until(ctx, id, want)
	switch {
	case errors.Is(err, saga.ErrNotFound):
		return notFound("reservation", string(id))
	case err != nil && r.Context().Err() != nil:
		return err
	}
	shown := standing{id, s.Phase, s.Outcome.Reason, s.Seats, s.Price, s.Outcome.Refunded}
	switch {
	case s.Phase.Decided():
		status = http.StatusOK
	case s.Phase == reservation.Requesting:
		shown.Phase = reservation.Charging // to a customer it is the same
	}
	return a.write(w, r, status, shown)
}

// write answers how a saga stands, with the log's head of now.
func (a *api) write(w http.ResponseWriter, r *http.Request, status int, body any) error {
	head, err := a.log.Head(r.Context())
	if err == nil {
		httpreply.At(w, status, head, body)
	}
	return err
}
