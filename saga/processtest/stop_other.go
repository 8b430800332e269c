//go:build !unix

package processtest

// stop would have the process stand still, which only Unix can.
func (p *process) stop() {
	p.t.Helper()
	p.t.Skip("processes cannot be stopped on this system")
}

func (p *process) resume() {}
