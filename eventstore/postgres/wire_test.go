package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

// wire is what clients have sent to a server, as it went over the connections:
// the messages of PostgreSQL's protocol, version 3.
type wire struct {
	mu    sync.Mutex
	conns int
	trips []trip
}

// trip is what a client sends before it has to wait for the server: up to a Sync,
// or a query of the simple protocol.
type trip struct {
	conn     int
	parsed   []string // the statements that it has the server prepare
	executed []string // those that it has it do
	simple   bool
}

// String is short: statements are long.
func (t trip) String() string {
	short := func(all []string) (begins []string) {
		for _, sql := range all {
			begins = append(begins, strings.Join(strings.Fields(sql)[:min(4, len(strings.Fields(sql)))], " "))
		}
		return begins
	}
	return fmt.Sprintf("connection %d: prepare %q, do %q", t.conn, short(t.parsed), short(t.executed))
}

// does tells whether a statement of the trip contains text.
func (t trip) does(text string) bool {
	for _, sql := range append(t.parsed, t.executed...) {
		if strings.Contains(sql, text) {
			return true
		}
	}
	return false
}

// tap has connections of a pool told to the wire.
func (w *wire) tap(config *pgxpool.Config) {
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.conns++
		return &tappedConn{Conn: conn, wire: w, number: w.conns, statements: map[string]string{}, portals: map[string]string{}}, nil
	}
}

// forget forgets the trips so far.
func (w *wire) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trips = nil
}

// without returns the trips that have nothing to do with text.
func (w *wire) without(text string) []trip { return w.filter(text, false) }

// with returns those that have.
func (w *wire) with(text string) []trip { return w.filter(text, true) }

func (w *wire) filter(text string, does bool) (found []trip) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.trips {
		if w.trips[i].does(text) == does {
			found = append(found, w.trips[i])
		}
	}
	return found
}

// tappedConn reads what a client writes.
type tappedConn struct {
	net.Conn
	wire   *wire
	number int

	begun      bool // the first message, which has no type, was read
	unread     []byte
	statements map[string]string // prepared, by name
	portals    map[string]string
	trip       trip
}

// Write is called by one goroutine at a time.
func (c *tappedConn) Write(b []byte) (int, error) {
	c.unread = append(c.unread, b...)
	for c.next() {
	}
	return c.Conn.Write(b)
}

// next reads a message, if it is all there.
func (c *tappedConn) next() bool {
	head := 1
	if !c.begun {
		head = 0
	}
	if len(c.unread) < head+4 {
		return false
	}
	end := head + int(binary.BigEndian.Uint32(c.unread[head:]))
	if len(c.unread) < end {
		return false
	}
	message := c.unread[:end]
	c.unread = c.unread[end:]
	if !c.begun {
		c.begun = true
		return true
	}
	texts := bytes.SplitN(message[5:], []byte{0}, 3)
	switch message[0] {
	case 'P': // Parse: the name, the statement
		c.statements[string(texts[0])] = string(texts[1])
		c.trip.parsed = append(c.trip.parsed, string(texts[1]))
	case 'B': // Bind: the portal, the name of its statement
		c.portals[string(texts[0])] = c.statements[string(texts[1])]
	case 'E': // Execute: the portal
		c.trip.executed = append(c.trip.executed, c.portals[string(texts[0])])
	case 'Q': // Query: the statement
		c.trip.executed = append(c.trip.executed, string(texts[0]))
		c.trip.simple = true
		c.end()
	case 'S', 'H': // Sync, Flush
		c.end()
	}
	return true
}

// end ends the trip.
func (c *tappedConn) end() {
	c.trip.conn = c.number
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	c.wire.trips = append(c.wire.trips, c.trip)
	c.trip = trip{}
}
