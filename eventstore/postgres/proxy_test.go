package postgres_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// fault is what a proxy does with a connection on which it sees its mark.
type fault int

const (
	loseRequest fault = iota // the connection is lost before the server has it
	loseReply                // the connection is lost before the client has the reply
	stall                    // the reply never comes
)

// proxy stands between a store and its server. It breaks the next connection on
// which a client sends the mark.
type proxy struct {
	server string
	done   chan struct{}
	close  func() // loses all connections
	// stalled has one when a reply was withheld by stall.
	stalled chan struct{}

	mu    sync.Mutex
	mark  []byte
	fault fault
}

// newProxy starts a proxy for a database's server, and returns the URL of the
// database behind it. The server must be one of postgrestest.Start, which has a
// socket to stand before wherever tests run.
func newProxy(t *testing.T, db *postgrestest.Database) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(db.URL)
	require.NoError(t, err)
	host := u.Query().Get("host")
	require.NotEmpty(t, host, "a socket to stand before")
	const socket = ".s.PGSQL.5432"
	dir, err := os.MkdirTemp("/tmp", "rondo-proxy-") //nolint:usetesting // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	listener, err := net.Listen("unix", filepath.Join(dir, socket))
	require.NoError(t, err)
	p := &proxy{server: filepath.Join(host, socket), done: make(chan struct{}), stalled: make(chan struct{}, 1)}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.serve(client) })
		}
	})
	p.close = sync.OnceFunc(func() {
		close(p.done)
		_ = listener.Close()
		conns.Wait()
	})
	t.Cleanup(p.close)
	u.RawQuery = url.Values{"host": {dir}}.Encode()
	return p, u.String()
}

// breakAt has the next connection that carries the mark broken.
func (p *proxy) breakAt(mark string, f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark, p.fault = []byte(mark), f
}

// hit tells whether what a client sends carries the mark, once.
func (p *proxy) hit(sent []byte) (fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mark == nil || !bytes.Contains(sent, p.mark) {
		return 0, false
	}
	p.mark = nil
	return p.fault, true
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("unix", p.server)
	if err != nil {
		_ = client.Close()
		return
	}
	over := sync.OnceFunc(func() {
		_ = client.Close()
		_ = server.Close()
	})
	defer over()
	go func() {
		<-p.done
		over()
	}()
	var mu sync.Mutex
	broken := fault(-1)
	var replies sync.WaitGroup
	replies.Go(func() {
		defer over()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			f := broken
			mu.Unlock()
			switch f {
			case loseReply:
				return
			case stall:
				select {
				case p.stalled <- struct{}{}:
				default:
				}
				continue
			case loseRequest:
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			break
		}
		if f, hit := p.hit(buf[:n]); hit {
			if f == loseRequest {
				break
			}
			mu.Lock()
			broken = f
			mu.Unlock()
		}
		if _, err := io.Copy(server, bytes.NewReader(buf[:n])); err != nil {
			break
		}
	}
	if broken != loseReply && broken != stall {
		over()
	}
	replies.Wait()
}
