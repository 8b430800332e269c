//go:build unix

package processtest

import (
	"syscall"

	"github.com/stretchr/testify/require"
)

// stop has the process stand still until it is resumed.
func (p *process) stop() { p.signal(syscall.SIGSTOP) }

func (p *process) resume() { p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}
