package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
)

// executor runs statements: on a connection, or in a transaction of database/sql.
// Arguments and columns are of the types int64, string, []byte and nil.
type executor interface {
	exec(ctx context.Context, query string, args ...any) (driver.Result, error)
	// query calls row for each row, until that says that it wants no more.
	query(ctx context.Context, query string, args []any, row func([]driver.Value) (more bool, err error)) error
}

// txExecutor runs statements in a transaction of database/sql.
type txExecutor struct {
	tx   *sql.Tx
	path string
}

func (x txExecutor) exec(ctx context.Context, query string, args ...any) (driver.Result, error) {
	result, err := x.tx.ExecContext(ctx, query, args...)
	return result, wrap(x.path, err)
}

func (x txExecutor) query(ctx context.Context, query string, args []any, row func([]driver.Value) (bool, error)) (err error) {
	rows, err := x.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return wrap(x.path, err)
	}
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = wrap(x.path, closeErr)
		}
	}()
	columns, err := rows.Columns()
	if err != nil {
		return wrap(x.path, err)
	}
	values, dest := make([]driver.Value, len(columns)), make([]any, len(columns))
	for i := range values {
		dest[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return wrap(x.path, err)
		}
		if more, err := row(values); err != nil || !more {
			return err
		}
	}
	return wrap(x.path, rows.Err())
}

// first reads the first row of a query, and tells whether there is one.
func first(ctx context.Context, x executor, row func([]driver.Value) error, query string, args ...any) (found bool, err error) {
	err = x.query(ctx, query, args, func(values []driver.Value) (bool, error) {
		found = true
		if row == nil {
			return false, nil
		}
		return false, row(values)
	})
	return found, err
}

// scan sets what dest points to. The columns have the types that the schema
// declares, so a failure is a mistake of ours or of who changed the schema.
func scan(row []driver.Value, dest ...any) error {
	for i, d := range dest {
		var ok bool
		switch d := d.(type) {
		case *int64:
			*d, ok = row[i].(int64)
		case *string:
			*d, ok = row[i].(string)
		case *[]byte: // nil for NULL
			*d, ok = row[i].([]byte)
			ok = ok || row[i] == nil
		}
		if !ok {
			return fmt.Errorf("column %d is a %T, which does not fit into a %T", i+1, row[i], d)
		}
	}
	return nil
}
