package memory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/saga/sagatest"
)

var home = sagatest.Home{
	Open: func(t *testing.T) saga.Store {
		t.Helper()
		s := memory.New(memory.Config{})
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	},
	Close: func(s saga.Store) error { return s.(*memory.Store).Close() }, //nolint:forcetypeassert // Open made it
}

func TestStore(t *testing.T) {
	t.Parallel()
	sagatest.Run(t, home)
}

func TestSagas(t *testing.T) {
	t.Parallel()
	sagatest.RunSagas(t, home)
}
