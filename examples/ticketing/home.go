package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/sqlite"
	"github.com/seed57833328/rondo/saga"
	sagamemory "github.com/seed57833328/rondo/saga/memory"
	sagapostgres "github.com/seed57833328/rondo/saga/postgres"
	sagasqlite "github.com/seed57833328/rondo/saga/sqlite"
)

// eventStore is what a sale needs of a home.
type eventStore interface {
	eventstore.Store
	eventstore.Checkpoints
	Close() error
}

// sagaStore is what a sale needs besides, in the same place.
type sagaStore interface {
	saga.Store
	Close() error
}

// home is where a sale is kept: what --db says.
type home struct {
	eventStore
	sagas sagaStore
	// name is what --db takes to go on, "" if nothing does. It has no password.
	name string
	// temporary is a folder to be removed with the sale, "" if there is none.
	temporary string
}

// homes are what --db can say.
const homes = "memory, sqlite:FILE or postgres://USER@HOST/DATABASE"

// checkHome tells whether db names a home.
func checkHome(db string) error {
	scheme, rest, _ := strings.Cut(db, ":")
	switch {
	case db == "memory", scheme == "sqlite" && rest != "":
		return nil
	case (scheme == "postgres" || scheme == "postgresql") && strings.HasPrefix(rest, "//"):
		return nil
	}
	return errors.New("want " + homes)
}

// openHome opens the home that db names: a file in a folder of its own if it
// names none.
func openHome(ctx context.Context, db string) (*home, error) {
	scheme, rest, _ := strings.Cut(db, ":")
	switch scheme {
	case "memory":
		store, err := memory.New(memory.Config{})
		return &home{eventStore: store, sagas: sagamemory.New(sagamemory.Config{})}, err
	case "sqlite":
		return openFile(ctx, rest, "")
	case "":
		folder, err := os.MkdirTemp("", "ticketing-")
		if err != nil {
			return nil, err
		}
		return openFile(ctx, filepath.Join(folder, "sale.db"), folder)
	}
	store, err := postgres.Open(ctx, db, postgres.Config{})
	if err != nil {
		return nil, err
	}
	sagas, err := sagapostgres.Open(ctx, db, sagapostgres.Config{AutoMigrate: true})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &home{eventStore: store, sagas: sagas, name: redacted(db)}, nil
}

// redacted is what may be shown of what names a home.
func redacted(db string) string {
	if !strings.Contains(db, "://") {
		return db
	}
	u, err := url.Parse(db)
	if err != nil {
		return "postgres://…"
	}
	return u.Redacted()
}

func openFile(ctx context.Context, path, temporary string) (*home, error) {
	store, err := sqlite.Open(ctx, path, sqlite.Config{})
	if err != nil {
		return nil, errors.Join(err, remove(temporary))
	}
	sagas, err := sagasqlite.Open(ctx, path, sagasqlite.Config{})
	if err != nil {
		return nil, errors.Join(err, store.Close(), remove(temporary))
	}
	return &home{eventStore: store, sagas: sagas, name: "sqlite:" + path, temporary: temporary}, nil
}

// again is the command that goes on with the sale, "" if none does.
func (h *home) again() string {
	if h.name == "" {
		return ""
	}
	return fmt.Sprintf("go run ./examples/ticketing --db %s", h.name)
}

// where says where the sale is, for people.
func (h *home) where() string {
	if h.name == "" {
		return "memory"
	}
	return h.name
}

// Close closes both stores.
func (h *home) Close() error { return errors.Join(h.sagas.Close(), h.eventStore.Close()) }

// forget closes a home and removes it, if it was made for one sale alone.
func (h *home) forget() error { return errors.Join(h.Close(), remove(h.temporary)) }

func remove(folder string) error {
	if folder == "" {
		return nil
	}
	return os.RemoveAll(folder)
}
