package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	sqlite "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/seed57833328/rondo/eventstore"
)

// Open opens the event store in the file with that path, which is made if it is
// not there, and brings its schema up to that of this program. Several programs
// may do so at once. The file may also have tables of the application.
//
// Errors: *eventstore.InputError, *SchemaError, *Error, and those of the context.
func Open(ctx context.Context, path string, config Config) (*Store, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	path, err := checkPath(path, config.ReadOnly)
	if err != nil {
		return nil, err
	}
	s := &Store{
		config: config.withDefaults(),
		path:   path,
		span:   defaultSpan,
		closed: make(chan struct{}),
		polled: make(chan struct{}),
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if s.writer != nil {
		go s.writer.run()
	}
	go s.poll()
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	defer func() {
		if err != nil && s.readers != nil {
			err = errors.Join(err, s.readers.Close())
		}
	}()
	if !s.config.ReadOnly {
		if err := s.openWriter(ctx); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, s.writer.close())
			}
		}()
	}
	mode := map[string]string{"mode": "rw"}
	if s.config.ReadOnly {
		mode["mode"] = "ro"
	}
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", s.config.BusyTimeout.Milliseconds()),
		"query_only(1)",
	}
	if s.readers, err = pool(s.path, mode, pragmas, s.config.Readers, false); err != nil {
		return err
	}
	return s.read(ctx, func(c *conn) error {
		if !s.config.ReadOnly {
			return nil
		}
		found, err := inspect(ctx, c)
		if err != nil {
			return err
		}
		return check(s.path, found, true)
	})
}

func (s *Store) openWriter(ctx context.Context) error {
	synchronous := "FULL"
	if s.config.Durability == Normal {
		synchronous = "NORMAL"
	}
	// There is no busy_timeout: the committer asks for locks in its own way.
	db, err := pool(s.path, map[string]string{"mode": "rwc"}, []string{
		"synchronous(" + synchronous + ")",
		"fullfsync(" + strconv.FormatBool(s.config.Durability == Full) + ")", // where fsync alone does not reach the disk
		"secure_delete(FAST)",
		"cache_size(-16384)",           // KiB
		"journal_size_limit(67108864)", // what is left of the log's file once it was longer
	}, 1, true)
	if err != nil {
		return err
	}
	w := &writer{
		path: s.path, pool: db,
		queue:     queue{filled: make(chan struct{}, 1)},
		timeout:   s.config.BusyTimeout,
		most:      s.config.MaxBatch,
		now:       s.config.Now,
		committed: s.news.wake,
		ended:     make(chan struct{}),
	}
	if err := s.prepareFile(ctx, w); err != nil {
		return errors.Join(err, w.close())
	}
	s.writer = w
	return nil
}

// prepareFile makes the file ready for a writer. It changes nothing before it
// knows that the file is ours.
func (s *Store) prepareFile(ctx context.Context, w *writer) error {
	wanted := func() bool { return ctx.Err() == nil }
	retry := func(do func() error) error {
		err := retryBusy(s.config.BusyTimeout, wanted, do)
		if isBusy(err) && ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	if err := retry(func() error { return w.connect(ctx) }); err != nil {
		if _, statErr := os.Stat(s.path); code(err) == lib.SQLITE_CANTOPEN && errors.Is(statErr, fs.ErrNotExist) {
			err = fmt.Errorf("make a file in that directory: %w", err)
		}
		return err
	}
	var found contents
	err := retry(func() (err error) {
		found, err = inspect(ctx, w.conn)
		return err
	})
	if err != nil {
		return err
	}
	if err := check(s.path, found, false); err != nil {
		return err
	}
	readOnly, err := w.conn.raw.IsReadOnly("main")
	if err != nil {
		return wrap(s.path, err)
	}
	if readOnly {
		return &Error{Path: s.path, Kind: ErrReadOnly, Err: errors.New("open it with Config.ReadOnly")}
	}
	if err := retry(func() error { return beginLog(ctx, w.conn) }); err != nil {
		return err
	}
	if found.version == knownVersion {
		return nil
	}
	return retry(func() error { return migrate(ctx, s.path, w) })
}

// beginLog has SQLite write to a log beside the file, so that readers and the
// writer do not wait for each other. The file remembers it.
func beginLog(ctx context.Context, c *conn) error {
	var mode string
	_, err := first(ctx, c, func(row []driver.Value) error { return scan(row, &mode) }, `PRAGMA journal_mode = WAL`)
	if err == nil && mode != "wal" {
		err = &Error{Path: c.path, Err: fmt.Errorf("journal mode is %q and cannot be wal: is it on a network file system?", mode)}
	}
	return err
}

// checkPath returns the absolute path.
func checkPath(path string, readOnly bool) (string, error) {
	const want = "the path of a file"
	switch {
	case path == "":
		return "", &eventstore.InputError{Field: "path", Value: `""`, Want: want}
	case path == ":memory:":
		return "", &eventstore.InputError{Field: "path", Value: strconv.Quote(path), Want: want + "; package eventstore/memory keeps events in memory"}
	case strings.HasPrefix(path, "file:"):
		return "", &eventstore.InputError{Field: "path", Value: strconv.Quote(path), Want: want + ", not a URI"}
	case strings.ContainsRune(path, 0):
		return "", &eventstore.InputError{Field: "path", Value: strconv.Quote(path), Want: want + ", without a zero byte"}
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("open event store %q: %w", path, err)
	}
	// SQLite would say of all that it cannot open the file. The file itself must
	// not be opened here: closing it would take SQLite's locks of this process.
	info, err := os.Stat(absolute)
	switch {
	case err == nil && info.IsDir():
		return "", &eventstore.InputError{Field: "path", Value: strconv.Quote(path), Want: want + ", not of a directory"}
	case errors.Is(err, fs.ErrNotExist) && !readOnly:
		_, err = os.Stat(filepath.Dir(absolute))
	}
	if err != nil {
		return "", fmt.Errorf("open event store %q: %w", path, err)
	}
	return absolute, nil
}

// pool makes a pool of connections to a file.
func pool(path string, parameters map[string]string, pragmas []string, size int, writer bool) (*sql.DB, error) {
	query := url.Values{"_pragma": pragmas, "_error_rc": {"1"}}
	for key, value := range parameters {
		query.Set(key, value)
	}
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") { // as in C:/events.db
		slashed = "/" + slashed
	}
	uri := url.URL{Scheme: "file", OmitHost: false, Path: slashed, RawQuery: query.Encode()}
	base, err := sqlite.NewConnector(uri.String())
	if err != nil {
		return nil, wrap(path, err)
	}
	db := sql.OpenDB(&connector{Connector: base, path: path, writer: writer})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}
