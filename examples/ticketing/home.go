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
)

// eventStore is what a sale needs of a home.
type eventStore interface {
	eventstore.Store
	eventstore.Checkpoints
	Close() error
}

// home is where the log of a sale is: what --db says.
type home struct {
	eventStore
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
		return &home{eventStore: store}, err
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
	return &home{eventStore: store, name: redacted(db)}, nil
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
	return &home{eventStore: store, name: "sqlite:" + path, temporary: temporary}, nil
}

// again is the command that goes on with the sale, "" if none does.
func (h *home) again() string {
	if h.name == "" {
		return ""
	}
	return fmt.Sprintf("go run ./examples/ticketing --db %s", h.name)
}

// forget closes a home and removes it, if it was made for one sale alone.
func (h *home) forget() error { return errors.Join(h.Close(), remove(h.temporary)) }

func remove(folder string) error {
	if folder == "" {
		return nil
	}
	return os.RemoveAll(folder)
}
