package postgres

// QueueAll has every append wait for a committer.
func (s *Store) QueueAll() {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.gate.direct = 0
}

// Queued is how many appends wait for a committer.
func (s *Store) Queued() int {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return len(s.gate.queue)
}
