package sqlitefile

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	sqlite "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// rawConn is what a connection of the driver can do.
type rawConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	sqlite.AuthorizerRegisterer
	IsReadOnly(schema string) (bool, error)
}

type rawStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// connector opens the connections of a pool.
type connector struct {
	driver.Connector
	name   Name
	writer bool
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	raw, ok := opened.(rawConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("connection of the driver is a %T, which cannot do all that is needed", opened), opened.Close())
	}
	conn := &Conn{raw: raw, name: c.name, writer: c.writer, idle: map[string]rawStmt{}, controls: map[string]rawStmt{}}
	if c.writer {
		if err := raw.RegisterAuthorizer(conn.authorize); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
	}
	return conn, nil
}

// Conn is a connection to the file. To database/sql it is a driver's, and it adds
// two things to that: statements stay prepared, and a transaction begun on a
// writer is a savepoint in the one that the committer has begun.
type Conn struct {
	raw  rawConn
	name Name
	// writer tells that this is a store's one connection that writes. Nothing
	// interrupts what runs on it: SQLite would roll back all of the transaction,
	// which is not the interrupted one's alone.
	writer bool
	// guarded is set while a function of InTx runs: it cannot end the
	// transaction.
	guarded atomic.Bool
	// idle has prepared statements that nobody uses, by their text.
	idle map[string]rawStmt
	// controls are for the statements that begin and end transactions.
	controls map[string]rawStmt
	// named and values are room for arguments and rows.
	named  []driver.NamedValue
	values []driver.Value
	// fault makes statements fail, in tests.
	fault func(query string) error
}

// maxIdleStmts bounds the statements that stay prepared.
const maxIdleStmts = 200

// savepointName is that of a transaction on a writer.
const savepointName = "rondo_tx"

// errEndTx is for who ends a transaction that is not his.
var errEndTx = errors.New("the transaction of an InTx is ended by InTx alone")

// Exec runs a statement that returns no rows. Arguments are of the types int64,
// string, []byte and nil.
func (c *Conn) Exec(ctx context.Context, query string, args ...any) (driver.Result, error) {
	c.named = name(c.named[:0], args)
	result, err := c.ExecContext(ctx, query, c.named)
	clear(c.named)
	return result, c.name.wrap(err)
}

// Query calls row for each row of what a statement returns, until that says that it
// wants no more. The values are overwritten by the next.
func (c *Conn) Query(ctx context.Context, query string, args []any, row func([]driver.Value) (bool, error)) (err error) {
	ctx, err = c.scope(ctx)
	if err != nil {
		return err
	}
	if c.fault != nil {
		if err := c.fault(query); err != nil {
			return c.name.wrap(err)
		}
	}
	stmt, err := c.take(ctx, query)
	if err != nil {
		return c.name.wrap(err)
	}
	defer c.put(query, stmt)
	c.named = name(c.named[:0], args)
	rows, err := stmt.QueryContext(ctx, c.named)
	clear(c.named)
	if err != nil {
		return c.name.wrap(err)
	}
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = c.name.wrap(closeErr)
		}
	}()
	n := len(rows.Columns())
	if cap(c.values) < n {
		c.values = make([]driver.Value, n)
	}
	values := c.values[:n]
	defer clear(values)
	for {
		switch err := rows.Next(values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.name.wrap(err)
		}
		if more, err := row(values); err != nil || !more {
			return err
		}
	}
}

// control runs a statement that begins or ends a transaction or a savepoint.
func (c *Conn) control(query string) error {
	stmt := c.controls[query]
	if stmt == nil {
		var err error
		if stmt, err = c.prepare(context.Background(), query); err != nil {
			return c.name.wrap(err)
		}
		c.controls[query] = stmt
	}
	if c.fault != nil {
		if err := c.fault(query); err != nil {
			return c.name.wrap(err)
		}
	}
	_, err := stmt.ExecContext(context.Background(), nil)
	return c.name.wrap(err)
}

func name(named []driver.NamedValue, args []any) []driver.NamedValue {
	for i, arg := range args {
		named = append(named, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return named
}

// scope is the context for a statement.
func (c *Conn) scope(ctx context.Context) (context.Context, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.writer && ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	return ctx, nil
}

func (c *Conn) prepare(ctx context.Context, query string) (rawStmt, error) {
	prepared, err := c.raw.PrepareContext(ctx, query)
	if err != nil {
		if c.guarded.Load() && code(err) == lib.SQLITE_AUTH {
			err = fmt.Errorf("%w: %w", errEndTx, err)
		}
		return nil, err
	}
	stmt, ok := prepared.(rawStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("statement of the driver is a %T, which knows no context", prepared), prepared.Close())
	}
	return stmt, nil
}

// take returns a prepared statement that is the caller's until he puts it back.
func (c *Conn) take(ctx context.Context, query string) (rawStmt, error) {
	if stmt := c.idle[query]; stmt != nil {
		delete(c.idle, query)
		return stmt, nil
	}
	return c.prepare(ctx, query)
}

func (c *Conn) put(query string, stmt rawStmt) {
	old := c.idle[query] // it was prepared again while stmt was taken
	if old == nil && len(c.idle) >= maxIdleStmts {
		for other := range c.idle { // any makes room
			old = c.idle[other]
			delete(c.idle, other)
			break
		}
	}
	c.idle[query] = stmt
	if old != nil {
		_ = old.Close() // what it would report, its last use has reported
	}
}

// authorize keeps functions of InTx from ending the transaction, whatever they
// write. SQLite asks it for each statement that is prepared.
func (c *Conn) authorize(action sqlite.AuthorizerActionCode, _, savepoint, _, _ string) sqlite.AuthorizerReturnCode {
	if c.guarded.Load() &&
		(action == sqlite.AuthTransaction || action == sqlite.AuthSavepoint && strings.EqualFold(savepoint, savepointName)) {
		return sqlite.AuthorizerDeny
	}
	return sqlite.AuthorizerOK
}

// What follows is for database/sql.

// Prepare prepares a statement.
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext prepares a statement.
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	ctx, err := c.scope(ctx)
	if err != nil {
		return nil, err
	}
	prepared, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return &stmt{rawStmt: prepared, conn: c}, nil
}

// ExecContext runs a statement that returns no rows.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ctx, err := c.scope(ctx)
	if err != nil {
		return nil, err
	}
	if c.fault != nil {
		if err := c.fault(query); err != nil {
			return nil, err
		}
	}
	stmt, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	defer c.put(query, stmt)
	return stmt.ExecContext(ctx, args)
}

// QueryContext runs a statement that returns rows. The statement is put back
// when they are closed.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	ctx, err := c.scope(ctx)
	if err != nil {
		return nil, err
	}
	stmt, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	opened, err := stmt.QueryContext(ctx, args)
	if err != nil {
		c.put(query, stmt)
		return nil, err
	}
	typed, ok := opened.(rawRows)
	if !ok {
		return nil, errors.Join(fmt.Errorf("rows of the driver are %T, which do not know their types", opened), opened.Close(), stmt.Close())
	}
	return &rows{rawRows: typed, conn: c, query: query, stmt: stmt}, nil
}

// Begin begins a transaction.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx begins a transaction: on a writer, a savepoint.
func (c *Conn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	if !c.writer {
		return c.raw.BeginTx(ctx, options)
	}
	if err := c.control("SAVEPOINT " + savepointName); err != nil {
		return nil, err
	}
	return savepoint{c}, nil
}

// Ping does nothing: a file is there.
func (c *Conn) Ping(ctx context.Context) error { return ctx.Err() }

// ResetSession says whether the connection can be used again.
func (c *Conn) ResetSession(ctx context.Context) error { return c.raw.ResetSession(ctx) }

// IsValid says whether the connection can be used again.
func (c *Conn) IsValid() bool { return c.raw.IsValid() }

// Close closes the connection and its statements.
func (c *Conn) Close() error {
	var errs []error
	for _, stmts := range []map[string]rawStmt{c.idle, c.controls} {
		for _, stmt := range stmts {
			errs = append(errs, stmt.Close())
		}
		clear(stmts)
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// savepoint is a transaction on a writer.
type savepoint struct{ conn *Conn }

// Commit keeps what was done since the savepoint, for the committer to commit.
// While a function of InTx runs it is refused, and all is undone.
func (s savepoint) Commit() error {
	if s.conn.guarded.Load() {
		return errors.Join(errEndTx, s.Rollback())
	}
	return s.conn.control("RELEASE " + savepointName)
}

// Rollback undoes what was done since the savepoint.
func (s savepoint) Rollback() error {
	defer s.conn.guarded.Store(s.conn.guarded.Swap(false))
	if err := s.conn.control("ROLLBACK TO " + savepointName); err != nil {
		return err
	}
	return s.conn.control("RELEASE " + savepointName)
}

// stmt is a statement that a user has prepared.
type stmt struct {
	rawStmt
	conn *Conn
}

// ExecContext runs the statement.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	ctx, err := s.conn.scope(ctx)
	if err != nil {
		return nil, err
	}
	return s.rawStmt.ExecContext(ctx, args)
}

// QueryContext runs the statement.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	ctx, err := s.conn.scope(ctx)
	if err != nil {
		return nil, err
	}
	return s.rawStmt.QueryContext(ctx, args)
}

// rawRows is what rows of the driver can do.
type rawRows interface {
	driver.Rows
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

// rows puts its statement back when it is closed.
type rows struct {
	rawRows
	conn  *Conn
	query string
	stmt  rawStmt
}

// Close ends the reading.
func (r *rows) Close() error {
	err := r.rawRows.Close()
	if r.stmt != nil {
		r.conn.put(r.query, r.stmt)
		r.stmt = nil
	}
	return err
}
