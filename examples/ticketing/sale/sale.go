// Package sale puts a ticket sale together: hosts of the aggregates (events,
// sections, payments, tickets), a runner of the sagas (reservations, cancellations
// of events), the handlers between them, and the world around them: the gateway,
// the customers and their book.
//
// All that happens is in two stores before it has any effect: the log, an event
// store, and the store of sagas. Another process goes on from them: it needs a New
// and a Run, and nothing else.
package sale

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/examples/ticketing/boxoffice"
	"github.com/seed57833328/rondo/examples/ticketing/cancellation"
	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/saga"
	sagamemory "github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/store"
)

// Config is what may be said about a sale. The zero value is one without
// failures, in real time.
type Config struct {
	// Seed is what the gateway's failures are drawn from.
	Seed uint64
	// Rates are how often it fails. The default is never.
	Rates gateway.Rates
	// Runtime is what everything runs on. The default is the real one.
	Runtime store.Runtime
	// Speed is how many times faster than real the time of the Runtime runs. The
	// default is 1.
	Speed float64
	// Watch is told of every step of a reservation. It must be quick; nil is
	// nobody.
	Watch func(Happening)
	// Halted is told when the sagas cannot go on, since another process runs
	// them; nil is nobody.
	Halted func(error)
}

func (c Config) withDefaults() Config {
	if c.Speed == 0 {
		c.Speed = 1
	}
	if c.Watch == nil {
		c.Watch = func(Happening) {}
	}
	if c.Halted == nil {
		c.Halted = func(error) {}
	}
	return c
}

// inReal is a span of real time in the time of the sale: what disks and networks
// take does not run faster.
func (c Config) inReal(d time.Duration) time.Duration { return time.Duration(float64(d) * c.Speed) }

// Sale is a ticket sale. Its methods may be called from any goroutine.
type Sale struct {
	log      eventstore.Store
	sagas    saga.Store
	registry *eventstore.Registry
	runtime  store.Runtime
	config   Config

	events   *aggregate.Host[event.State, event.Command, event.Event]
	sections *aggregate.Host[inventory.Section, inventory.Command, inventory.Event]
	payments *aggregate.Host[payment.State, payment.Command, payment.Event]
	tickets  *aggregate.Host[boxoffice.State, boxoffice.Command, boxoffice.Event]
	accounts *gateway.Accounts
	gateway  *gateway.Gateway
	runner   *saga.Runner

	board *board // how reservations stand

	mu    sync.Mutex
	books *Books

	decisions atomic.Int64 // of sagas, by this process
	appended  atomic.Int64 // events, by this process
}

// worker is the name under which sagas are run. It is the same in every process:
// one that begins takes over at once, and one that was there is fenced.
const worker = "ticketing"

// New makes a sale of a log and a store of sagas. Sagas are run by Run.
func New(log eventstore.Store, sagas saga.Store, cfg Config) (*Sale, error) {
	registry, err := Registry()
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Sale{sagas: sagas, registry: registry, runtime: cfg.Runtime, config: cfg, board: newBoard(cfg.Watch), books: NewBooks()}
	s.log = &counted{log, &s.appended}
	if s.runtime == nil {
		s.runtime = store.RuntimeOf(context.Background())
	}
	var errs [6]error
	s.events, errs[0] = host(s, eventCategory, event.Decider{})
	s.sections, errs[1] = host(s, sectionCategory, inventory.Decider{})
	s.payments, errs[2] = host(s, paymentCategory, payment.Decider{})
	s.tickets, errs[3] = host(s, ticketCategory, boxoffice.Decider{})
	s.accounts, errs[4] = host(s, gatewayCategory, gateway.Decider{})
	s.gateway = gateway.New(cfg.Seed, cfg.Rates, s.accounts)
	s.runner, errs[5] = saga.New(&watched{sagas, s.board}, saga.Config{
		Handlers: s.handlers(), Worker: worker, Runtime: cfg.Runtime,
		Heartbeat: cfg.inReal(3 * time.Second), Lease: cfg.inReal(12 * time.Second), Poll: cfg.inReal(500 * time.Millisecond),
		Sweep: cfg.inReal(time.Minute), StoreTimeout: cfg.inReal(30 * time.Second),
		MaxRecord: 4 << 20, // of a cancellation, which lists reservations
		Hooks:     saga.Hooks{Decided: func(saga.ID, string, saga.Status, int64) { s.decisions.Add(1) }},
	}, reservation.Saga, cancellation.Saga)
	return s, errors.Join(errs[:]...)
}

// InMemory is a New that nobody else goes on from, by the clock of its Runtime.
func InMemory(cfg Config) (*Sale, error) {
	now := time.Now
	if cfg.Runtime != nil {
		now = cfg.Runtime.Now
	}
	log, err := memory.New(memory.Config{Now: now})
	if err != nil {
		return nil, err
	}
	return New(log, sagamemory.New(sagamemory.Config{Now: now}), cfg)
}

// host makes a host of aggregates.
func host[S, C, E any](s *Sale, category string, d aggregate.Decider[S, C, E]) (*aggregate.Host[S, C, E], error) {
	cfg := aggregate.Config[S]{
		Runtime: s.config.Runtime, Timeout: s.config.inReal(10 * time.Second), LoadTimeout: s.config.inReal(time.Minute),
	}
	cfg.Retry.Delay = s.config.inReal(50 * time.Millisecond)
	return aggregate.New(category, d, s.registry, s.log, cfg)
}

// counted counts what is appended.
type counted struct {
	eventstore.Store
	events *atomic.Int64
}

func (c *counted) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	done, err := c.Store.Append(ctx, writes...)
	if err == nil {
		for i := range writes {
			c.events.Add(int64(len(writes[i].Events)))
		}
	}
	return done, err
}

// Begin records that a sale begins, with these terms. Of processes that do so at
// once one does, and the others get a *eventstore.ConflictError.
func (s *Sale) Begin(ctx context.Context, terms Terms) error {
	return s.write(ctx, saleStream, eventstore.None, Opened{terms})
}

// write appends one event, whose id follows from what it is: written again, it is
// there already.
func (s *Sale) write(ctx context.Context, stream string, expected eventstore.Expected, what any) error {
	e, err := s.registry.Encode(what)
	if err != nil {
		return err
	}
	e.ID = uuid.NewSHA1(uuid.NameSpaceURL, append([]byte("ticketing/"+stream+"/"), e.Data...))
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		_, err = s.log.Append(ctx, eventstore.Write{Stream: stream, Expected: expected, Events: []eventstore.Event{e}})
		var there *eventstore.DuplicateEventError
		switch {
		case err == nil || errors.As(err, &there):
			return nil
		case !eventstore.Retryable(err):
			return err
		}
		if err := s.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (s *Sale) sleep(ctx context.Context, d time.Duration) error {
	return store.Sleep(store.WithRuntime(ctx, s.runtime), d)
}

// Run takes up what there is: it learns how the reservations stand, goes on with
// all sagas and with cancellations that had not begun, until Close. It returns
// when the sagas are being run.
func (s *Sale) Run(ctx context.Context) error {
	if err := s.board.load(ctx, s.sagas); err != nil {
		return err
	}
	var cancelled []string
	err := s.look(ctx, func(b *Books) {
		for _, e := range b.Events {
			if e.Phase == event.IsCancelled {
				cancelled = append(cancelled, e.Name)
			}
		}
	})
	if err != nil {
		return err
	}
	running := context.WithoutCancel(ctx) // until Close
	s.runtime.Go(func() {
		if err := s.runner.Run(running); err != nil && !errors.Is(err, saga.ErrClosed) {
			s.config.Halted(err)
		}
	})
	for _, name := range cancelled {
		if err := s.callOff(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// Last is when the last thing happened to a reservation: when another process
// takes the sale up, its time goes on from there.
func Last(ctx context.Context, sagas saga.Store) (last time.Time, err error) {
	err = eachSaga(ctx, sagas, saga.Query{}, func(r saga.Record) error {
		if r.Updated.After(last) {
			last = r.Updated
		}
		return nil
	})
	return last, err
}

// Close lets the sagas finish what they are at and shuts everything down. It
// returns what was left undone, if ctx ends before.
func (s *Sale) Close(ctx context.Context) error {
	err := s.runner.Shutdown(ctx) // it asks the others, so it goes first
	return errors.Join(err,
		s.accounts.Shutdown(ctx), s.tickets.Shutdown(ctx), s.payments.Shutdown(ctx), s.sections.Shutdown(ctx), s.events.Shutdown(ctx))
}

// look brings the books up to date and looks at them.
func (s *Sale) look(ctx context.Context, f func(*Books)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.books.CatchUp(ctx, s.log, s.registry); err != nil {
		return err
	}
	f(s.books)
	return nil
}

// Behave sets what the gateway does to the first charge of a reservation.
func (s *Sale) Behave(id ticket.Reservation, b gateway.Behaviour) { s.gateway.Behave(id, b) }

// Reservation tells how a reservation stands.
func (s *Sale) Reservation(id ticket.Reservation) (reservation.State, bool) { return s.board.get(id) }

// Reserve starts a reservation and waits until it is decided.
func (s *Sale) Reserve(ctx context.Context, order reservation.Order) (reservation.Outcome, error) {
	if err := s.Start(ctx, order); err != nil {
		return reservation.Outcome{}, err
	}
	return s.Await(ctx, order.Reservation)
}

// Start writes a reservation into the customers' book, and starts it.
func (s *Sale) Start(ctx context.Context, order reservation.Order) error {
	_, err := s.begin(ctx, order, reservation.Start{Order: order})
	return err
}

func (s *Sale) begin(ctx context.Context, order reservation.Order, first reservation.Action) (existing bool, err error) {
	id := order.Reservation
	if err := s.write(ctx, bookCategory+"-"+string(id), eventstore.Any, Asked{order}); err != nil {
		return false, err
	}
	h, err := s.runner.Start(ctx, reservation.Saga.ID(string(id)), first)
	return h.Existing, err
}

// Cancel cancels a reservation and waits until it is decided. Its outcome tells
// whether the cancellation came in time. One that comes before its Start keeps
// it from ever beginning.
func (s *Sale) Cancel(ctx context.Context, id ticket.Reservation) (reservation.Outcome, error) {
	existing, err := s.begin(ctx, reservation.Order{Reservation: id}, reservation.Cancel{})
	if err == nil && existing {
		err = s.signal(ctx, id, reservation.Cancel{})
	}
	if err != nil {
		return reservation.Outcome{}, err
	}
	return s.Await(ctx, id)
}

// signal tells a reservation something, once. It is no error if it has ended.
func (s *Sale) signal(ctx context.Context, id ticket.Reservation, a reservation.Action) error {
	err := s.runner.Signal(ctx, reservation.Saga.ID(string(id)), fmt.Sprintf("%T", a), a)
	if errors.Is(err, saga.ErrEnded) {
		return nil
	}
	return err
}

// Await waits until a reservation is decided.
func (s *Sale) Await(ctx context.Context, id ticket.Reservation) (reservation.Outcome, error) {
	end, err := s.runner.Wait(ctx, reservation.Saga.ID(string(id)))
	if err != nil {
		return reservation.Outcome{}, err
	}
	state, err := reservation.Saga.State(end)
	return reservation.Standing(state, end.Status).Outcome, err
}

// Until waits until a reservation that was started stands as wanted. When ctx ends
// before, it is an error, and the state is as it stands then.
func (s *Sale) Until(ctx context.Context, id ticket.Reservation, want func(reservation.State) bool) (reservation.State, error) {
	return s.board.until(store.WithRuntime(ctx, s.runtime), id, func(state reservation.State, _ saga.Status) bool { return want(state) })
}

// Event asks something of an event, and sees to what follows from that: sections
// are opened when it is put on sale, and shut when it is closed; when it is
// cancelled a saga refunds everybody. Asked again it does what is left to do. The
// feedback's position is that of the last section, if that is greater.
func (s *Sale) Event(ctx context.Context, name string, c event.Command, opts ...aggregate.Option) (aggregate.Feedback[event.State], error) {
	got, err := s.events.Execute(ctx, name, c, opts...)
	if err != nil {
		return got, err
	}
	switch c.(type) {
	case event.PutOnSale:
		for _, layout := range got.State.Sections {
			tier, _ := got.State.Tier(layout.Tier)
			id := ticket.Section{Event: name, Name: layout.Name}
			opened, err := s.sections.Execute(ctx, sectionKey(id), inventory.Open{Section: id, Tier: tier, Rows: layout.Rows}, aggregate.WithoutFeedback())
			if err != nil {
				return got, err
			}
			got.Position = max(got.Position, opened.Position)
		}
	case event.Close:
		for _, layout := range got.State.Sections {
			shut, err := s.sections.Execute(ctx, sectionKey(ticket.Section{Event: name, Name: layout.Name}), inventory.Shut{}, aggregate.WithoutFeedback())
			if err != nil {
				return got, err
			}
			got.Position = max(got.Position, shut.Position)
		}
	case event.Cancel:
		err = s.callOff(ctx, name)
	}
	return got, err
}

// Open drafts an event, publishes it and puts it on sale.
func (s *Sale) Open(ctx context.Context, d event.Draft) error {
	for _, c := range []event.Command{d, event.Publish{}, event.PutOnSale{}} {
		if _, err := s.Event(ctx, d.Name, c); err != nil {
			var rejection *aggregate.RejectionError
			if errors.As(err, &rejection) && (rejection.Code == string(event.NameTaken) || rejection.Code == string(event.WrongPhase)) {
				continue // another process has come so far, or further
			}
			return err
		}
	}
	return nil
}

// callOff starts the cancellation of an event, if that is not done.
func (s *Sale) callOff(ctx context.Context, name string) error {
	got, err := s.events.Load(ctx, name)
	if err != nil {
		return err
	}
	start := cancellation.Start{}
	for _, layout := range got.State.Sections {
		start.Sections = append(start.Sections, ticket.Section{Event: name, Name: layout.Name})
	}
	_, err = s.runner.Start(ctx, cancellation.Saga.ID(name), start)
	return err
}

// AwaitCancellation waits until all of a cancelled event is refunded.
func (s *Sale) AwaitCancellation(ctx context.Context, name string) (cancellation.State, error) {
	end, err := s.runner.Wait(ctx, cancellation.Saga.ID(name))
	if err != nil {
		return cancellation.State{}, err
	}
	return cancellation.Saga.State(end)
}

// Sections are the sections as they stand, in the order in which they were put on
// sale.
func (s *Sale) Sections(ctx context.Context) (sections []inventory.Section, err error) {
	err = s.look(ctx, func(b *Books) { sections = b.Standing() })
	return sections, err
}

// EventState is an event as a command would find it.
func (s *Sale) EventState(ctx context.Context, name string) (aggregate.Feedback[event.State], error) {
	return s.events.Load(ctx, name)
}

// Section is a section as a command would find it.
func (s *Sale) Section(ctx context.Context, id ticket.Section) (aggregate.Feedback[inventory.Section], error) {
	return s.sections.Load(ctx, sectionKey(id))
}

// Payment is a payment as a command would find it.
func (s *Sale) Payment(ctx context.Context, id ticket.Reservation) (aggregate.Feedback[payment.State], error) {
	return s.payments.Load(ctx, string(id))
}
