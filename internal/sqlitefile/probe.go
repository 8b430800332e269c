package sqlitefile

import (
	"context"
	"runtime"
	"time"
)

// Probe looks into a file, and disturbs it, for tests of stores.
type Probe struct{ File *File }

// SetFault makes statements of the committer's connection fail as fault says,
// until there is another connection.
func (p Probe) SetFault(fault func(query string) error) {
	q := &p.File.writer.queue
	for q.mu.Lock(); q.busy || len(q.jobs) > 0; q.mu.Lock() {
		q.mu.Unlock()
		runtime.Gosched()
	}
	q.busy = true
	q.mu.Unlock()
	p.File.writer.conn.fault = fault
	q.free()
}

// QueueFault is SetFault as a job of the committer, whose transaction is the first
// to fail.
func (p Probe) QueueFault(ctx context.Context, fault func(query string) error) error {
	return p.File.Write(ctx, 0, func(w *Writer, _ time.Time) (verdict, err error) {
		w.conn.fault = fault
		return nil, nil
	})
}

// SetReadFault makes statements of the connection that reads, of which there must
// be one, fail as fault says, until there is another connection.
func (p Probe) SetReadFault(ctx context.Context, fault func(query string) error) error {
	return p.File.Read(ctx, func(c *Conn) error {
		c.fault = fault
		return nil
	})
}

// Queued says how many jobs wait to be committed.
func (p Probe) Queued() int {
	n, _ := p.File.writer.queue.waiting()
	return n
}

// Busy tells whether somebody commits.
func (p Probe) Busy() bool {
	p.File.writer.queue.mu.Lock()
	defer p.File.writer.queue.mu.Unlock()
	return p.File.writer.queue.busy
}

// Closing tells whether Close was called.
func (p Probe) Closing() bool {
	p.File.writer.queue.mu.Lock()
	defer p.File.writer.queue.mu.Unlock()
	return p.File.writer.queue.closed != nil
}
