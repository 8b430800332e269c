package saga

// Live is how many sagas a runner has in memory.
func Live(r *Runner) int { return r.machines.Len() }

// Replay replays a history of a saga whose type is not known.
func Replay(s Saga, id ID, history []Entry) (*Drift, error) { return s.inside().replay(id, history) }

// TypeOf is the name of a type of sagas.
func TypeOf(s Saga) string { return s.inside().name }
