package postgres

import (
	"fmt"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// Config is what may be said about a store. The zero value works.
type Config struct {
	// RequireTenant makes a context without a tenant an eventstore.ErrNoTenant.
	// The default is that it stands for the tenant "".
	RequireTenant bool
	// AutoMigrate has Open and New bring the database's schema up to what they
	// know, see [Migrate]. The default is that a database which is not is a
	// *[SchemaVersionError].
	AutoMigrate bool
	// DirectAppends is how many appends may be in flight for another to be
	// committed at once, by itself. Beyond it appends wait for one another and
	// are committed together; so do those of few events that come when a batch
	// of more has just ended. The default is 4; negative values are refused.
	DirectAppends int
	// PollInterval is how often a subscription that waits looks for events that
	// nobody has told it of: those of a process that died between the commit and
	// the notification, for instance. The default is 1 s; negative values are
	// refused.
	PollInterval time.Duration
	// Hooks are told what happens.
	Hooks Hooks
}

// Hooks are told what happens in a store. Any may be nil. They must be quick, and
// may be called from several goroutines at once.
type Hooks struct {
	// Retrying is called when something that a store does by itself was not
	// possible and is tried again: reading for a subscription, listening,
	// notifying. doing says what.
	Retrying func(doing string, err error)
}

const (
	defaultDirectAppends = 4
	defaultPollInterval  = time.Second
)

func (c Config) withDefaults() Config {
	if c.DirectAppends == 0 {
		c.DirectAppends = defaultDirectAppends
	}
	if c.PollInterval == 0 {
		c.PollInterval = defaultPollInterval
	}
	if c.Hooks.Retrying == nil {
		c.Hooks.Retrying = func(string, error) {}
	}
	return c
}

func (c Config) validate() error {
	if c.DirectAppends < 0 {
		return &eventstore.InputError{Field: "Config.DirectAppends", Value: fmt.Sprint(c.DirectAppends), Want: "at least 0"}
	}
	if c.PollInterval < 0 {
		return &eventstore.InputError{Field: "Config.PollInterval", Value: c.PollInterval.String(), Want: "at least 0"}
	}
	return nil
}
