package store

import "fmt"

// Status says how a store is.
type Status uint8

// The states of health.
const (
	Running  Status = iota // all is well
	Degraded               // it works, but see Reasons
	Stopped                // it takes no actions: see Err
)

func (s Status) String() string {
	switch s {
	case Running:
		return "running"
	case Degraded:
		return "degraded"
	case Stopped:
		return "stopped"
	}
	return "unknown"
}

// Health is how a store is now, and why.
type Health struct {
	Status      Status
	Reasons     []string // why it is degraded, or that it is shutting down
	Err         error    // why it stopped; nil after a shutdown that finished
	DeadLetters int      // kept
	Dropped     uint64   // dead letters that had to go for newer ones
}

// Health tells how the store is. It never blocks for long.
func (s *Store[S, A]) Health() Health {
	h := s.host.health()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outside >= s.host.config.Mailbox {
		h.degrade(fmt.Sprintf("mailbox is full: %d actions wait, %d senders", s.outside, len(s.waiters)))
	}
	if s.end != nil {
		if s.word.Load() == closed {
			h.Status, h.Err = Stopped, s.end.err
		} else {
			h.degrade("shutting down")
		}
	}
	return h
}

// health is what the stores of one host have in common.
func (h *host[S, A]) health() Health {
	var r Health
	h.letters.mu.Lock()
	r.DeadLetters, r.Dropped = len(h.letters.kept), h.letters.dropped
	h.letters.mu.Unlock()
	if r.DeadLetters > 0 {
		r.degrade(fmt.Sprintf("%d dead letters", r.DeadLetters))
	}
	if r.Dropped > 0 {
		r.degrade(fmt.Sprintf("%d dead letters dropped", r.Dropped))
	}
	if n := h.panics.Load(); n > 0 {
		r.degrade(fmt.Sprintf("%d panics of observers or hooks", n))
	}
	return r
}

func (h *Health) degrade(reason string) {
	h.Status = Degraded
	h.Reasons = append(h.Reasons, reason)
}
