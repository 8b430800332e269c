// Package reservations is the program of the guide's page on sagas: seats that are
// held, paid and confirmed, or given back.
package reservations

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
	"github.com/seed57833328/rondo/saga/sqlite"
)

// Order is the state of a reservation, kept as JSON.
type Order struct {
	Quantity int      `json:"quantity"`
	Seats    []string `json:"seats,omitempty"`
}

// What a reservation reduces.
type (
	Action  interface{ action() }
	Reserve struct {
		Quantity int `json:"quantity"`
	}
	Held struct {
		Seats []string `json:"seats"`
	}
	Charged struct{}
	Sold    struct{}
	Refused struct {
		Reason string `json:"reason"`
	}
	Expired struct{}
)

func (Reserve) action() {}
func (Held) action()    {}
func (Charged) action() {}
func (Sold) action()    {}
func (Refused) action() {}
func (Expired) action() {}

// What it asks of others.
type (
	HoldSeats    struct{ Quantity int }
	ReleaseSeats struct{}
	Charge       struct{ Cents int }
	Refund       struct{ Cents int }
	ConfirmSeats struct{ Seats []string }
)

func (HoldSeats) Returns([]string)    {}
func (ReleaseSeats) Returns(struct{}) {}
func (Charge) Returns(struct{})       {}
func (Refund) Returns(struct{})       {}
func (ConfirmSeats) Returns(struct{}) {}

var fx saga.Of[Action]

// Reserver decides about one reservation.
type Reserver struct{}

// Reduce decides on an action.
func (Reserver) Reduce(o *Order, a Action, _ reducer.Env) effect.Effect[Action] {
	switch a := a.(type) {
	case Reserve:
		o.Quantity = a.Quantity
		return fx.All(
			fx.Do(HoldSeats(a), saga.Undo(ReleaseSeats{})),
			fx.After("deadline", 5*time.Minute, Expired{}))
	case Held:
		o.Seats = a.Seats
		cents := 5000 * o.Quantity
		return fx.Do(Charge{cents}, saga.Undo(Refund{cents}))
	case Charged:
		return fx.All(fx.Pivot(), fx.Cancel("deadline"), fx.Do(ConfirmSeats{o.Seats}))
	case Sold:
		return fx.Complete()
	case Refused:
		return fx.Compensate(a.Reason)
	case Expired:
		return fx.Compensate("the hold ran out")
	}
	return fx.None()
}

func onHeld(_ HoldSeats, r saga.Reply[[]string]) Action {
	if r.Err != nil {
		return Refused{"seats: " + r.Err.Error()}
	}
	return Held{r.Value}
}

func onCharged(_ Charge, r saga.Reply[struct{}]) Action {
	if r.Err != nil {
		return Refused{"payment: " + r.Err.Error()}
	}
	return Charged{}
}

func onConfirmed(ConfirmSeats, saga.Reply[struct{}]) Action { return Sold{} }

// Reservation gives names to what its records keep.
var Reservation = saga.Define("reservation", Reserver{}, saga.Types{
	Actions: []saga.ActionType{
		saga.Action[Reserve]("reserve"), saga.Action[Held]("held"), saga.Action[Charged]("charged"),
		saga.Action[Sold]("sold"), saga.Action[Refused]("refused"), saga.Action[Expired]("expired"),
	},
	Requests: []saga.RequestType{
		saga.On("hold-seats", onHeld),
		saga.On("charge", onCharged, saga.Timeout(10*time.Second)),
		saga.On("confirm-seats", onConfirmed),
		saga.Request[ReleaseSeats]("release-seats"),
		saga.Request[Refund]("refund"),
	},
})

func TestStepByStep(t *testing.T) {
	t.Parallel()
	s := sagatest.Begin(t, Reservation, Reserve{Quantity: 2})
	sagatest.Reply(s, HoldSeats{2}, []string{"A1", "A2"})
	s.Reject(Charge{10000}, errors.New("card declined"))
	s.Undone(ReleaseSeats{})
	s.Ended(saga.Compensated, "payment: card declined")
}

func TestALateCharge(t *testing.T) {
	t.Parallel()
	s := sagatest.Begin(t, Reservation, Reserve{Quantity: 2})
	sagatest.Reply(s, HoldSeats{2}, []string{"A1", "A2"})
	s.Cancel("changed her mind")
	sagatest.Reply(s.Late(), Charge{10000}, struct{}{}) // it was charged after all
	s.Crash()
	s.Undone(Refund{10000})
	s.Undone(ReleaseSeats{})
	s.Ended(saga.Compensated, "changed her mind")
}

// bank is somebody else's system. It knows each charge by its key, so that one
// that is asked for twice is made once.
type bank struct {
	mu       sync.Mutex
	declines bool
	charged  map[string]int
	asked    chan string // the keys of charges, as they are asked for
	slow     bool        // it takes the charge, and its answer does not come
}

func (b *bank) charge(ctx context.Context, c Charge) (struct{}, error) {
	b.mu.Lock()
	declines, slow := b.declines, b.slow
	if !declines {
		b.charged[saga.EffectID(ctx)] = c.Cents
	}
	b.mu.Unlock()
	b.asked <- saga.EffectID(ctx)
	switch {
	case declines:
		return struct{}{}, saga.Rejected(errors.New("card declined"))
	case slow:
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	}
	return struct{}{}, nil
}

// hall has its seats in the file of the sagas.
type hall struct{ home *sqlite.Store }

// hold takes seats that are free.
func (h hall) hold(ctx context.Context, tx *sql.Tx, q HoldSeats) ([]string, error) {
	rows, err := tx.QueryContext(ctx, `UPDATE seats SET sold_to = ? WHERE name IN
		(SELECT name FROM seats WHERE sold_to IS NULL ORDER BY name LIMIT ?) RETURNING name`, saga.EffectID(ctx), q.Quantity)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has what went wrong
	var seats []string
	for rows.Next() {
		var seat string
		if err := rows.Scan(&seat); err != nil {
			return nil, err
		}
		seats = append(seats, seat)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(seats) < q.Quantity {
		return nil, saga.Rejected(errors.New("sold out")) // and none is taken
	}
	return seats, nil
}

func (h hall) release(ctx context.Context, tx *sql.Tx, _ ReleaseSeats) (struct{}, error) {
	_, err := tx.ExecContext(ctx, `UPDATE seats SET sold_to = NULL WHERE sold_to || '/undo' = ?`, saga.EffectID(ctx))
	return struct{}{}, err
}

// program is a process.
type program struct {
	home   *sqlite.Store
	runner *saga.Runner
	end    func()
}

func start(t *testing.T, file string, b *bank) program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	home, err := sqlite.Open(ctx, file, sqlite.Config{})
	require.NoError(t, err)
	h := hall{home}
	runner, err := saga.New(home, saga.Config{Worker: "box-office", Handlers: []effect.Handler{
		sqlite.HandleTx(home, h.hold),
		sqlite.HandleTx(home, h.release),
		effect.Handle(b.charge),
		effect.Handle(func(context.Context, Refund) (struct{}, error) { return struct{}{}, nil }),
		effect.Handle(func(context.Context, ConfirmSeats) (struct{}, error) { return struct{}{}, nil }),
	}}, Reservation)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	return program{home, runner, sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.NoError(t, runner.Shutdown(context.WithoutCancel(ctx)))
		require.NoError(t, home.Close())
	})}
}

func begin(t *testing.T, b *bank) (program, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "box-office.db")
	p := start(t, file, b)
	t.Cleanup(p.end)
	require.NoError(t, p.home.InTx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `CREATE TABLE seats (name TEXT PRIMARY KEY, sold_to TEXT);
			INSERT INTO seats (name) VALUES ('A1'), ('A2'), ('A3')`)
		return err
	}))
	return p, file
}

// taken counts the seats that somebody has.
func (p program) taken(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, p.home.InTx(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT count(sold_to) FROM seats`).Scan(&n)
	}))
	return n
}

func newBank() *bank { return &bank{charged: map[string]int{}, asked: make(chan string, 10)} }

func TestSold(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newBank()
	p, _ := begin(t, b)
	runner := p.runner

	reservation, err := runner.Start(ctx, Reservation.ID("ann-1"), Reserve{Quantity: 2})
	require.NoError(t, err)
	end, err := reservation.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, saga.Completed, end.Status)
	order, err := Reservation.State(end)
	require.NoError(t, err)
	require.Equal(t, []string{"A1", "A2"}, order.Seats)
	require.Equal(t, map[string]int{"reservation/ann-1/2/0": 10000}, b.charged)
	require.Equal(t, 2, p.taken(t))
}

func TestDeclined(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newBank()
	b.declines = true
	p, _ := begin(t, b)

	reservation, err := p.runner.Start(ctx, Reservation.ID("ann-1"), Reserve{Quantity: 2})
	require.NoError(t, err)
	end, err := reservation.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, saga.Compensated, end.Status)
	require.Equal(t, "payment: card declined", end.Reason)
	require.Zero(t, p.taken(t))
}

func TestTheProcessEnds(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newBank()
	b.slow = true
	first, file := begin(t, b)
	_, err := first.runner.Start(ctx, Reservation.ID("ann-1"), Reserve{Quantity: 2})
	require.NoError(t, err)
	key := <-b.asked // the bank has the charge, and ann has no answer
	first.end()

	b.mu.Lock()
	b.slow = false
	b.mu.Unlock()
	second := start(t, file, b)
	t.Cleanup(second.end)
	end, err := second.runner.Wait(ctx, Reservation.ID("ann-1"))
	require.NoError(t, err)
	require.Equal(t, saga.Completed, end.Status)
	require.Equal(t, key, <-b.asked)
	require.Len(t, b.charged, 1)
}

func TestOperator(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newBank()
	b.slow = true
	p, _ := begin(t, b)
	id := Reservation.ID("ann-1")
	_, err := p.runner.Start(ctx, id, Reserve{Quantity: 2})
	require.NoError(t, err)
	<-b.asked

	operator := saga.NewOperator(p.home)
	by := saga.By{Actor: "eve", Reason: "the bank is down for the night", DryRun: true}
	would, err := operator.Compensate(ctx, id, by)
	require.NoError(t, err)
	require.Len(t, would.After.Undo, 2) // the charge may have been made

	by.DryRun = false
	_, err = operator.Compensate(ctx, id, by)
	require.NoError(t, err)
	end, err := p.runner.Wait(ctx, id)
	require.NoError(t, err)
	require.Equal(t, saga.Compensated, end.Status)
	require.Zero(t, p.taken(t))
}

func TestReplay(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, _ := begin(t, newBank())
	id := Reservation.ID("ann-1")
	_, err := p.runner.Start(ctx, id, Reserve{Quantity: 2})
	require.NoError(t, err)
	end, err := p.runner.Wait(ctx, id)
	require.NoError(t, err)
	require.Equal(t, saga.Completed, end.Status)

	history, err := p.runner.History(ctx, id, 0, 1000)
	require.NoError(t, err)
	drift, err := Reservation.Replay(id, history)
	require.NoError(t, err)
	require.Nil(t, drift) // it decides as it did
}
