package sagatest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/seed57833328/rondo/saga"
)

// link is what one process has of a home: it counts the commits, can fail before
// and after each, and can be cut.
type link struct {
	saga.Store

	mu     sync.Mutex
	broken bool
	n      int                           // commits so far
	fault  func(n int, after bool) error // nil is none
	script *script                       // of one saga's commits, nil is none

	// loaded is called after each Load, discards before each Discard; nil is not.
	// They are set before there is anything to load.
	loaded, discards func()
}

var errLink = errors.New("connection lost")

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
}

func (l *link) ok() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return errLink
	}
	return nil
}

func (l *link) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	if err := l.ok(); err != nil {
		return saga.Record{}, false, err
	}
	if l.loaded != nil {
		defer l.loaded()
	}
	return l.Store.Load(ctx, id)
}

func (l *link) Discard(ctx context.Context, positions []int64) error {
	if l.discards != nil {
		l.discards()
	}
	return l.Store.Discard(ctx, positions)
}

func (l *link) Commit(ctx context.Context, changes []saga.Change) (verdicts []saga.Verdict, err error) {
	step := l.steps(changes)
	err = l.around(func() (err error) {
		if err := step(false); err != nil {
			return err
		}
		verdicts, err = l.Store.Commit(ctx, changes)
		if fault := step(true); fault != nil {
			return fault
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// follow has commits of one saga be steps of a script.
func (l *link) follow(s *script) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.script = s
}

// steps is to be called before and after a commit.
func (l *link) steps(changes []saga.Change) func(after bool) error {
	l.mu.Lock()
	s := l.script
	l.mu.Unlock()
	if s == nil || !slices.ContainsFunc(changes, func(c saga.Change) bool { return c.Record.ID == s.id }) {
		return func(bool) error { return nil }
	}
	return func(after bool) error { return s.step("commit", after) }
}

// around makes a commit, unless it fails before that.
func (l *link) around(commit func() error) error {
	if err := l.ok(); err != nil {
		return err
	}
	l.mu.Lock()
	n, fault := l.n, l.fault
	l.n++
	l.mu.Unlock()
	if fault != nil {
		if err := fault(n, false); err != nil {
			return err
		}
	}
	err := commit()
	if fault != nil {
		if fault := fault(n, true); fault != nil {
			return fault
		}
	}
	if err := l.ok(); err != nil {
		return err
	}
	return err
}

// fail has commits fail from now on as fault says.
func (l *link) fail(fault func(n int, after bool) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = fault
}

// commits is how many there were.
func (l *link) commits() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

func (l *link) Beat(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Fleet, error) {
	if err := l.ok(); err != nil {
		return saga.Fleet{}, err
	}
	return l.Store.Beat(ctx, w, ttl)
}

func (l *link) Leave(ctx context.Context, w saga.Worker) error {
	if err := l.ok(); err != nil {
		return err
	}
	return l.Store.Leave(ctx, w)
}
