package erasure_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/eventstore/publish"
)

func Example() {
	ctx := context.Background()
	db, err := memory.New(memory.Config{})
	if err != nil {
		panic(err)
	}
	store, err := erasure.New(db, db, erasure.Config{})
	if err != nil {
		panic(err)
	}
	_, err = store.Append(ctx, eventstore.Write{
		Stream: "customer-7", Expected: eventstore.None,
		Events: []eventstore.Event{
			{Type: "registered"},
			{Type: "moved", Data: []byte("12 Rose Street"), Meta: eventstore.Meta{Subject: "customer-7"}},
		},
	})
	if err != nil {
		panic(err)
	}
	read := func() {
		for e, err := range store.ReadStream(ctx, "customer-7", 1) {
			if err != nil {
				panic(err)
			}
			fmt.Printf("%d %s %q redacted=%v\n", e.Version, e.Type, e.Data, e.Redacted)
		}
	}
	read()
	fmt.Println("erase:", store.Erase(ctx, "customer-7"))
	read()
	// Output:
	// 1 registered "" redacted=false
	// 2 moved "12 Rose Street" redacted=false
	// erase: <nil>
	// 1 registered "" redacted=false
	// 2 moved "" redacted=true
}

// vault is a key service of one's own. A real one keeps its keys somewhere else
// than the events, remembers for good which were deleted, and has backups that
// run out soon.
type vault struct {
	mu   sync.Mutex
	keys map[string][]byte // nil if it was deleted
}

func (v *vault) Key(ctx context.Context, subject string) ([]byte, error) {
	return v.key(ctx, subject, true)
}

func (v *vault) LoadKey(ctx context.Context, subject string) ([]byte, error) {
	return v.key(ctx, subject, false)
}

func (v *vault) key(ctx context.Context, subject string, create bool) ([]byte, error) {
	tenant, err := eventstore.Tenant(ctx, false) // tenants do not share subjects
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	name := tenant + "\x00" + subject
	key, found := v.keys[name]
	switch {
	case found && key == nil:
		return nil, eventstore.ErrErased
	case !found && !create:
		return nil, eventstore.ErrNoKey
	case !found:
		key = make([]byte, 32)
		_, _ = rand.Read(key) // it never returns an error
		v.keys[name] = key
	}
	return key, nil
}

func (v *vault) DeleteKey(ctx context.Context, subject string) error {
	tenant, err := eventstore.Tenant(ctx, false)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys[tenant+"\x00"+subject] = nil
	return nil
}

func Example_keyService() {
	ctx := context.Background()
	db, err := memory.New(memory.Config{})
	if err != nil {
		panic(err)
	}
	store, err := erasure.New(db, &vault{keys: map[string][]byte{}}, erasure.Config{})
	if err != nil {
		panic(err)
	}
	move := func() error {
		_, err := store.Append(ctx, eventstore.Write{
			Stream: "customer-7", Expected: eventstore.Any,
			Events: []eventstore.Event{{Type: "moved", Meta: eventstore.Meta{Subject: "customer-7"}}},
		})
		return err
	}
	fmt.Println(move())
	fmt.Println(store.Erase(ctx, "customer-7"))
	fmt.Println(move())
	// Output:
	// <nil>
	// <nil>
	// append to "customer-7": key of subject "customer-7": subject was erased
}

// A read model learns of an erasure as of everything else: by an event.
func Example_readModels() {
	ctx, shutdown := context.WithCancel(context.Background())
	db, err := memory.New(memory.Config{})
	if err != nil {
		panic(err)
	}
	store, err := erasure.New(db, db, erasure.Config{
		Announce: func(subject string) (eventstore.Write, error) {
			return eventstore.Write{
				Stream: "erasures-" + subject, Expected: eventstore.Any,
				Events: []eventstore.Event{{Type: "subject-erased", Data: []byte(subject)}},
			}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	for _, customer := range []string{"ann", "bob"} {
		if _, err := store.Append(ctx, eventstore.Write{
			Stream: "customer-" + customer, Expected: eventstore.None,
			Events: []eventstore.Event{{Type: "moved", Data: []byte("street of " + customer), Meta: eventstore.Meta{Subject: customer}}},
		}); err != nil {
			panic(err)
		}
	}

	addresses := map[string]string{}
	known := make(chan struct{})
	projection, err := publish.New(store, store, "addresses", publish.Each(func(_ context.Context, e eventstore.Recorded) error {
		switch {
		case e.Type == "subject-erased":
			delete(addresses, string(e.Data))
			shutdown()
		case !e.Redacted: // when it is built anew after an erasure
			addresses[e.Meta.Subject] = string(e.Data)
			if len(addresses) == 2 {
				fmt.Println(addresses)
				close(known)
			}
		}
		return nil
	}), publish.Config{})
	if err != nil {
		panic(err)
	}
	done := make(chan error)
	go func() { done <- projection.Run(ctx) }()
	<-known
	if err := store.Erase(ctx, "ann"); err != nil {
		panic(err)
	}
	fmt.Println(<-done)
	fmt.Println(addresses)
	// Output:
	// map[ann:street of ann bob:street of bob]
	// context canceled
	// map[bob:street of bob]
}
