package sqlite

import (
	"runtime"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// Config is what may be said about a home. The zero value works.
type Config struct {
	// Durability says what a commit survives: Full, the default, or Normal.
	Durability Durability
	// ReadOnly opens a file that is there for reading alone, as an operator may
	// want it: what would write is refused with ErrReadOnly, and the file must
	// have the schema of this program. Others may write to it meanwhile. SQLite
	// keeps files beside it all the same, so its directory must be writable.
	ReadOnly bool
	// BusyTimeout is how long a commit waits while another process writes to the
	// file, before it fails with ErrLocked. The default is 5 s; negative values
	// are refused. Commits of this home never count as another's.
	BusyTimeout time.Duration
	// PollInterval is how often it is looked whether another process has brought
	// a message, a lease or a pause, for who listens by Wake; what this home
	// brings is told at once. The default is 100 ms; negative values are refused.
	PollInterval time.Duration
	// Readers is how many reads are at work at once; others wait. The default is
	// 4, or GOMAXPROCS if that is greater; negative values are refused.
	Readers int
	// MaxBatch is how many calls that write are committed together at most; a
	// Commit of many changes is one. The default is 1024; negative values are
	// refused.
	MaxBatch int
	// Now is the clock that leases of workers run out by. It may be called from
	// any goroutine, and must not call the home. The default is time.Now.
	Now func() time.Time
}

// Durability says what a commit survives.
type Durability uint8

const (
	// Full commits survive the loss of power: each waits until the disk has it.
	Full Durability = iota
	// Normal commits survive the end of the process, also a sudden one, but not
	// always that of the machine: then the last of them may be lost, all of what
	// was in each, and the file is sound. Effects that were done are then done
	// again, under the same keys. Nothing is waited for.
	Normal
)

const (
	defaultBusyTimeout  = 5 * time.Second
	defaultPollInterval = 100 * time.Millisecond
	defaultReaders      = 4
	defaultMaxBatch     = 1024
)

func (c Config) withDefaults() Config {
	if c.BusyTimeout == 0 {
		c.BusyTimeout = defaultBusyTimeout
	}
	if c.PollInterval == 0 {
		c.PollInterval = defaultPollInterval
	}
	if c.Readers == 0 {
		c.Readers = max(defaultReaders, runtime.GOMAXPROCS(0))
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = defaultMaxBatch
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	const positive = "more than 0, or 0 for the default"
	switch {
	case c.Durability > Normal:
		return &eventstore.InputError{Field: "Config.Durability", Value: strconv.Itoa(int(c.Durability)), Want: "Full or Normal"}
	case c.BusyTimeout < 0:
		return &eventstore.InputError{Field: "Config.BusyTimeout", Value: c.BusyTimeout.String(), Want: positive}
	case c.PollInterval < 0:
		return &eventstore.InputError{Field: "Config.PollInterval", Value: c.PollInterval.String(), Want: positive}
	case c.Readers < 0:
		return &eventstore.InputError{Field: "Config.Readers", Value: strconv.Itoa(c.Readers), Want: positive}
	case c.MaxBatch < 0:
		return &eventstore.InputError{Field: "Config.MaxBatch", Value: strconv.Itoa(c.MaxBatch), Want: positive}
	}
	return nil
}
