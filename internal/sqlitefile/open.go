package sqlitefile

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

	"github.com/seed57833328/rondo/eventstore"
)

// Open opens the file with that path, which is made if it is not there, and brings
// its schema up. store is what is kept in it, as errors call it, and instead the
// package for who wants it in memory.
//
// Errors: *eventstore.InputError, *SchemaError, *Error, and those of the context.
func Open(ctx context.Context, store, path, instead string, options Options) (*File, error) {
	path, err := checkPath(store, path, instead, options.ReadOnly)
	if err != nil {
		return nil, err
	}
	f := &File{options: options, name: Name{Store: store, Path: path}, closed: make(chan struct{})}
	if err := f.open(ctx); err != nil {
		return nil, err
	}
	if f.writer != nil {
		go f.writer.run()
	}
	return f, nil
}

func (f *File) open(ctx context.Context) (err error) {
	defer func() {
		if err != nil && f.readers != nil {
			err = errors.Join(err, f.readers.Close())
		}
	}()
	if !f.options.ReadOnly {
		if err := f.openWriter(ctx); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, f.writer.close())
			}
		}()
	}
	mode := map[string]string{"mode": "rw"}
	if f.options.ReadOnly {
		mode["mode"] = "ro"
	}
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", f.options.BusyTimeout.Milliseconds()),
		"query_only(1)",
	}
	if f.readers, err = pool(f.name, mode, pragmas, f.options.Readers, false); err != nil {
		return err
	}
	return f.Read(ctx, func(c *Conn) error {
		if !f.options.ReadOnly {
			return nil
		}
		found, err := f.options.Schema.inspect(ctx, c)
		if err != nil {
			return err
		}
		return f.options.Schema.check(f.name, found, true)
	})
}

func (f *File) openWriter(ctx context.Context) error {
	synchronous := "FULL"
	if f.options.Normal {
		synchronous = "NORMAL"
	}
	// There is no busy_timeout: the committer asks for locks in its own way.
	db, err := pool(f.name, map[string]string{"mode": "rwc"}, []string{
		"synchronous(" + synchronous + ")",
		"fullfsync(" + strconv.FormatBool(!f.options.Normal) + ")", // where fsync alone does not reach the disk
		"secure_delete(FAST)",
		"cache_size(-16384)",           // KiB
		"journal_size_limit(67108864)", // what is left of the log's file once it was longer
	}, 1, true)
	if err != nil {
		return err
	}
	w := &Writer{
		name: f.name, pool: db,
		queue:     queue{filled: make(chan struct{}, 1)},
		timeout:   f.options.BusyTimeout,
		most:      f.options.MaxBatch,
		now:       f.options.Now,
		committed: f.options.Committed,
		ended:     make(chan struct{}),
	}
	if err := f.prepareFile(ctx, w); err != nil {
		return errors.Join(err, w.close())
	}
	f.writer = w
	return nil
}

// prepareFile makes the file ready for a writer. It changes nothing before it
// knows that the file is ours.
func (f *File) prepareFile(ctx context.Context, w *Writer) error {
	wanted := func() bool { return ctx.Err() == nil }
	retry := func(do func() error) error {
		err := retryBusy(f.options.BusyTimeout, wanted, do)
		if isBusy(err) && ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	if err := retry(func() error { return w.connect(ctx) }); err != nil {
		return err
	}
	var found contents
	err := retry(func() (err error) {
		found, err = f.options.Schema.inspect(ctx, w.conn)
		return err
	})
	if err != nil {
		return err
	}
	if err := f.options.Schema.check(f.name, found, false); err != nil {
		return err
	}
	readOnly, err := w.conn.raw.IsReadOnly("main")
	if err != nil {
		return f.name.wrap(err)
	}
	if readOnly {
		return f.name.fail(ErrReadOnly, errors.New("open it with Config.ReadOnly"))
	}
	if err := retry(func() error { return beginLog(ctx, w.conn) }); err != nil {
		return err
	}
	if found.version == f.options.Schema.Version {
		return nil
	}
	return retry(func() error { return f.options.Schema.migrate(ctx, w) })
}

// beginLog has SQLite write to a log beside the file, so that readers and the
// writer do not wait for each other. The file remembers it.
func beginLog(ctx context.Context, c *Conn) error {
	var mode string
	_, err := First(ctx, c, func(row []driver.Value) error { return Scan(row, &mode) }, `PRAGMA journal_mode = WAL`)
	if err == nil && mode != "wal" {
		err = c.name.fail(nil, fmt.Errorf("journal mode is %q and cannot be wal: is it on a network file system?", mode))
	}
	return err
}

// checkPath returns the absolute path.
func checkPath(store, path, instead string, readOnly bool) (string, error) {
	const want = "the path of a file"
	switch {
	case path == "":
		return "", &eventstore.InputError{Field: "path", Value: `""`, Want: want}
	case path == ":memory:":
		return "", &eventstore.InputError{Field: "path", Value: strconv.Quote(path), Want: want + "; package " + instead + " keeps it in memory"}
	case strings.HasPrefix(path, "file:"):
		return "", &eventstore.InputError{Field: "path", Value: strconv.Quote(path), Want: want + ", not a URI"}
	case strings.ContainsRune(path, 0):
		return "", &eventstore.InputError{Field: "path", Value: strconv.Quote(path), Want: want + ", without a zero byte"}
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("open %s %q: %w", store, path, err)
	}
	// SQLite would say of all that it cannot open the file. The file itself must
	// not be opened here: closing it would take SQLite's locks of this process.
	info, err := os.Stat(absolute)
	switch {
	case err == nil && info.IsDir():
		return "", &eventstore.InputError{Field: "path", Value: strconv.Quote(path), Want: want + ", not of a directory"}
	case err == nil && !info.Mode().IsRegular():
		return "", &eventstore.InputError{Field: "path", Value: strconv.Quote(path), Want: want + " on a disk, not of a device or a pipe"}
	case errors.Is(err, fs.ErrNotExist) && !readOnly:
		_, err = os.Stat(filepath.Dir(absolute))
	}
	if err != nil {
		return "", fmt.Errorf("open %s %q: %w", store, path, err)
	}
	return absolute, nil
}

// pool makes a pool of connections to a file.
func pool(name Name, parameters map[string]string, pragmas []string, size int, writer bool) (*sql.DB, error) {
	query := url.Values{"_pragma": pragmas, "_error_rc": {"1"}}
	for key, value := range parameters {
		query.Set(key, value)
	}
	slashed := filepath.ToSlash(name.Path)
	if !strings.HasPrefix(slashed, "/") { // as in C:/events.db
		slashed = "/" + slashed
	}
	uri := url.URL{Scheme: "file", OmitHost: false, Path: slashed, RawQuery: query.Encode()}
	base, err := sqlite.NewConnector(uri.String())
	if err != nil {
		return nil, name.wrap(err)
	}
	db := sql.OpenDB(&connector{Connector: base, name: name, writer: writer})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}
