package postgres_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
)

// wire is the network of a process. The first message on it that carries the mark is
// held up.
type wire struct {
	mark []byte
	held chan *heldUp
	once sync.Once
	dead atomic.Bool // the process is, and sends nothing any more
}

// heldUp is a message on its way, of a process that lives on or has died.
type heldUp struct {
	server  net.Conn
	message []byte
	lives   chan bool
}

type wired struct {
	net.Conn
	wire *wire
}

func (c wired) Write(b []byte) (int, error) {
	if bytes.Contains(b, c.wire.mark) {
		c.wire.once.Do(func() {
			h := &heldUp{c.Conn, bytes.Clone(b), make(chan bool)}
			c.wire.held <- h
			c.wire.dead.Store(!<-h.lives)
		})
	}
	if c.wire.dead.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// Close leaves the connection of a dead process to what is still on its way.
func (c wired) Close() error {
	if c.wire.dead.Load() {
		return nil
	}
	return c.Conn.Close()
}

// arrive has the message of a dead process arrive, and returns when the server has
// done what it says.
func (h *heldUp) arrive(t *testing.T) {
	t.Helper()
	_, err := h.server.Write(h.message)
	require.NoError(t, err)
	require.NoError(t, h.server.(interface{ CloseWrite() error }).CloseWrite()) //nolint:forcetypeassert // both kinds of sockets have it
	_, _ = io.Copy(io.Discard, h.server)                                        // until the session has ended
	require.NoError(t, h.server.Close())
}

// joining is a process whose Join is under way, and held up.
func joining(t *testing.T, db *postgrestest.Database) (*heldUp, <-chan saga.Worker) {
	t.Helper()
	w := &wire{mark: []byte("worker-of-that-name"), held: make(chan *heldUp, 1)}
	config := db.Config(t)
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if w.dead.Load() {
			return nil, net.ErrClosed
		}
		conn, err := dial(ctx, network, address)
		return wired{conn, w}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s, err := postgres.New(t.Context(), pool, postgres.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	joined := make(chan saga.Worker, 1)
	go func() {
		defer close(joined)
		if got, err := s.Join(t.Context(), saga.Worker{ID: string(w.mark), Types: []string{"order"}}, time.Minute); err == nil {
			joined <- got
		}
	}()
	return <-w.held, joined
}

// What a process has sent that died is executed after the next of its name has joined:
// it does not fence that.
func TestJoinOfADeadProcessComesTooLate(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db.URL)
	held, joined := joining(t, db)
	w, err := s.Join(t.Context(), saga.Worker{ID: "worker-of-that-name", Types: []string{"order"}}, time.Minute)
	require.NoError(t, err)
	claimed, err := s.Claim(t.Context(), w, []saga.Lease{{Shard: saga.Shard{Type: "order"}}})
	require.NoError(t, err)
	held.lives <- false
	_, is := <-joined
	require.False(t, is, "it is dead")
	held.arrive(t)
	fleet, err := s.Beat(t.Context(), w, time.Minute)
	require.NoError(t, err)
	require.Equal(t, claimed, fleet.Leases)
}

// One that lives joins all the same, and fences who has joined meanwhile.
func TestJoinThatIsOvertaken(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db.URL)
	held, joined := joining(t, db)
	w, err := s.Join(t.Context(), saga.Worker{ID: "worker-of-that-name", Types: []string{"order"}}, time.Minute)
	require.NoError(t, err)
	claimed, err := s.Claim(t.Context(), w, []saga.Lease{{Shard: saga.Shard{Type: "order"}}})
	require.NoError(t, err)
	held.lives <- true
	last := <-joined
	require.Greater(t, last.Incarnation, w.Incarnation)
	_, err = s.Beat(t.Context(), w, time.Minute)
	require.ErrorIs(t, err, saga.ErrFenced)
	fleet, err := s.Beat(t.Context(), last, time.Minute)
	require.NoError(t, err)
	require.Equal(t, claimed[0].Epoch+1, fleet.Leases[0].Epoch)
}
