//go:build unix

package main

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// stop has a process do nothing until cont.
func stop(t *testing.T, p *os.Process) {
	t.Helper()
	require.NoError(t, p.Signal(syscall.SIGSTOP))
}

func cont(t *testing.T, p *os.Process) {
	t.Helper()
	require.NoError(t, p.Signal(syscall.SIGCONT))
}

// dump has a process of Go write what its goroutines are at, and end.
func dump(p *os.Process) { _ = p.Signal(syscall.SIGQUIT) }
