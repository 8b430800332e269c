package erasure

import (
	"strconv"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// Config is what may be said about a store. The zero value works.
type Config struct {
	// KeyTTL is for how long a key that was loaded is used without asking the key
	// service again: for so long another process may go on reading what was
	// erased in this one. The default is a minute. A negative one keeps no keys,
	// and asks for each event.
	KeyTTL time.Duration
	// CachedKeys is how many keys are kept at most; an entry takes about a
	// kilobyte. The default is 4096; negative values are refused.
	CachedKeys int
	// AcceptPlaintext reads payloads of subjects that are not encrypted: those
	// that were appended before this package was used. The default is that they
	// are a *eventstore.DataError, so that an event cannot be replaced by one that
	// nobody has encrypted. They are redacted once the subject was erased, but
	// stay readable to who reads the inner store.
	AcceptPlaintext bool
	// Announce makes what is appended when a subject was erased, so that read
	// models can erase what they have. It must return the same for the same
	// subject, and must not have events about the subject, for which there is no
	// key any more. Ids that it does not give are made of the subject, so that
	// to erase twice is to announce once. nil announces nothing.
	Announce func(subject string) (eventstore.Write, error)
	// Hooks are told what happens.
	Hooks Hooks
}

// Hooks are told what happens in a store. Any may be nil. They are called on the
// goroutine that has called the store.
type Hooks struct {
	// SnapshotUnreadable is called for a snapshot that cannot be decrypted although
	// none of its subjects was erased: it is as if it was not there.
	SnapshotUnreadable func(err *eventstore.DataError)
}

const (
	defaultKeyTTL     = time.Minute
	defaultCachedKeys = 4096
)

func (c Config) withDefaults() Config {
	if c.KeyTTL == 0 {
		c.KeyTTL = defaultKeyTTL
	}
	if c.CachedKeys == 0 {
		c.CachedKeys = defaultCachedKeys
	}
	if c.Hooks.SnapshotUnreadable == nil {
		c.Hooks.SnapshotUnreadable = func(*eventstore.DataError) {}
	}
	return c
}

func (c Config) validate() error {
	if c.CachedKeys < 0 {
		return &eventstore.InputError{Field: "Config.CachedKeys", Value: strconv.Itoa(c.CachedKeys), Want: "at least 1 (or 0 for 4096)"}
	}
	return nil
}
