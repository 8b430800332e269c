package memory

import (
	"context"
	"crypto/rand"
	"slices"

	"github.com/seed57833328/rondo/eventstore"
)

const keySize = 32 // bytes

// Key returns the subject's key, made on the first call; see [eventstore.Keys].
func (s *Store) Key(ctx context.Context, subject string) ([]byte, error) {
	return s.key(ctx, subject, true)
}

// LoadKey returns the subject's key; see [eventstore.Keys].
func (s *Store) LoadKey(ctx context.Context, subject string) ([]byte, error) {
	return s.key(ctx, subject, false)
}

func (s *Store) key(ctx context.Context, subject string, create bool) ([]byte, error) {
	t, err := s.enterKey(ctx, subject)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	key, found := t.keys[subject]
	switch {
	case !found && !create:
		return nil, eventstore.ErrNoKey
	case !found:
		key = make([]byte, keySize)
		_, _ = rand.Read(key) // it never returns an error
		t.keys[subject] = key
	case key == nil:
		return nil, eventstore.ErrErased
	}
	return slices.Clone(key), nil
}

// DeleteKey deletes the subject's key for good; see [eventstore.Keys].
func (s *Store) DeleteKey(ctx context.Context, subject string) error {
	t, err := s.enterKey(ctx, subject)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	clear(t.keys[subject])
	t.keys[subject] = nil
	return nil
}

func (s *Store) enterKey(ctx context.Context, subject string) (*tenant, error) {
	if err := eventstore.CheckName("subject", subject); err != nil {
		return nil, err
	}
	return s.enter(ctx)
}
