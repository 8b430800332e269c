package erasure

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// keySize is that of a subject's key, in bytes.
const keySize = 32

// subject is whom data is about. Tenants do not share subjects.
type subject struct{ tenant, name string }

// key is a subject's key.
type key struct {
	bytes []byte
	aead  cipher.AEAD
}

func newKey(b []byte) (*key, error) {
	if len(b) != keySize {
		return nil, fmt.Errorf("the key service returned %d bytes, want %d", len(b), keySize)
	}
	aead, err := newAEAD(b)
	if err != nil {
		return nil, err
	}
	return &key{b, aead}, nil
}

// newAEAD is AES-256-GCM with a random nonce, which stands before the ciphertext.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// keyring has the keys that were loaded, for a time, and which subjects were
// erased, for good.
type keyring struct {
	service eventstore.Keys
	ttl     time.Duration
	size    int

	mu      sync.RWMutex
	entries map[subject]entry
	// erasures counts what has made keys worthless. A key that was asked for
	// before such a moment is not kept after it.
	erasures uint64
}

type entry struct {
	key     *key // nil if the subject was erased
	expires time.Time
}

func newKeyring(service eventstore.Keys, ttl time.Duration, size int) *keyring {
	return &keyring{service: service, ttl: ttl, size: size, entries: map[subject]entry{}}
}

// get returns a subject's key. If there is none, it is made if that is wanted, and
// eventstore.ErrNoKey otherwise. It is eventstore.ErrErased if it was deleted.
func (r *keyring) get(ctx context.Context, s subject, create bool) (*key, error) {
	r.mu.RLock()
	e, found := r.entries[s]
	erasures := r.erasures
	r.mu.RUnlock()
	switch {
	case found && e.key == nil:
		return nil, eventstore.ErrErased
	case found && time.Now().Before(e.expires):
		return e.key, nil
	}
	load := r.service.LoadKey
	if create {
		load = r.service.Key
	}
	if tenant, all := eventstore.TenantFrom(ctx); all || tenant != s.tenant {
		ctx = eventstore.WithTenant(ctx, s.tenant)
	}
	began := time.Now()
	b, err := load(ctx, s.name)
	if errors.Is(err, eventstore.ErrErased) {
		r.erased(s)
		return nil, eventstore.ErrErased
	}
	if err != nil {
		return nil, err
	}
	k, err := newKey(b)
	if err != nil {
		return nil, err
	}
	if r.ttl > 0 {
		r.mu.Lock()
		if r.erasures == erasures {
			r.put(s, entry{k, began.Add(r.ttl)})
		}
		r.mu.Unlock()
	}
	return k, nil
}

// erased remembers that a subject was erased.
func (r *keyring) erased(s subject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.erasures++
	r.put(s, entry{})
}

// forget has the key service asked again, for whether a subject was erased.
func (r *keyring) forget(s subject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.erasures++
	if e, found := r.entries[s]; found && e.key != nil {
		delete(r.entries, s)
	}
}

// put keeps an entry. When there are too many one goes, whichever: what matters is
// that their number is bounded.
func (r *keyring) put(s subject, e entry) {
	if _, found := r.entries[s]; !found && len(r.entries) >= r.size {
		for other := range r.entries {
			delete(r.entries, other)
			break
		}
	}
	r.entries[s] = e
}
