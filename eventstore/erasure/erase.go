package erasure

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// erasedLabel is in the metadata of what announces that a subject was erased: its
// value is the subject. Whoever reads such an event through this package, in
// whatever process, asks for the subject's key again.
const erasedLabel = "rondo.erased"

// announced is the name space of the ids of announcements.
var announced = uuid.MustParse("6f0f2a52-2b0f-4d6e-9d57-5d0c3a4b7e11")

// Erase deletes the key of a subject, for good. What was written about the subject
// is redacted in all that is read through this store from when Erase returns, and
// in other processes after Config.KeyTTL at the latest. Then it appends what
// Config.Announce makes.
//
// It may be called again, and has to be after an error: the key may be deleted
// and the announcement missing. A subject of whom nothing was written can be
// erased, and nothing can be written about it afterwards. Errors:
// *eventstore.InputError, eventstore.ErrNoTenant, and those of Config.Announce, of
// the key service and of Append.
func (s *Store) Erase(ctx context.Context, name string) error {
	if err := eventstore.CheckName("subject", name); err != nil {
		return err
	}
	tenant, err := eventstore.Tenant(ctx, false)
	if err != nil {
		return err
	}
	announcement, err := s.announcement(name)
	if err != nil {
		return fmt.Errorf("erase subject %q: announcement: %w", name, err)
	}
	if err := s.keys.DeleteKey(ctx, name); err != nil {
		s.ring.forget(subject{tenant, name}) // it may be deleted nevertheless
		return fmt.Errorf("erase subject %q: delete its key: %w", name, err)
	}
	s.ring.erased(subject{tenant, name})
	if announcement == nil {
		return nil
	}
	_, err = s.Append(ctx, *announcement)
	if errors.As(err, new(*eventstore.DuplicateEventError)) {
		err = nil // it was announced before
	}
	if err != nil {
		return fmt.Errorf("erase subject %q: its key is deleted; announce it: %w", name, err)
	}
	return nil
}

// announcement makes what is to be appended, and checks it: nothing should be
// wrong with it when the key is deleted.
func (s *Store) announcement(name string) (*eventstore.Write, error) {
	if s.cfg.Announce == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	w, err := s.cfg.Announce(name)
	if err != nil {
		return nil, err
	}
	prepared, err := eventstore.Prepare([]eventstore.Write{w})
	if err != nil {
		return nil, err
	}
	for i := range prepared[0].Events {
		e := &prepared[0].Events[i]
		if e.Meta.Subject == name {
			return nil, &eventstore.InputError{
				Field: "Events[" + strconv.Itoa(i) + "].Meta.Subject", Value: strconv.Quote(name),
				Want: "none, or another subject: this one has no key any more",
			}
		}
		if w.Events[i].ID == uuid.Nil {
			e.ID = uuid.NewSHA1(announced, []byte(strconv.Itoa(i)+" "+name))
		}
		if e.Meta.Labels == nil {
			e.Meta.Labels = map[string]string{}
		}
		e.Meta.Labels[erasedLabel] = name
	}
	return &prepared[0], nil
}
