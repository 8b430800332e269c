package saga

// Live is how many sagas a runner has in memory.
func Live(r *Runner) int { return r.machines.Len() }
