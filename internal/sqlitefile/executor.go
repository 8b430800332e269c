package sqlitefile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
)

// Executor runs statements: on a connection, or in a transaction of database/sql.
// Arguments and columns are of the types int64, string, []byte and nil.
type Executor interface {
	Exec(ctx context.Context, query string, args ...any) (driver.Result, error)
	// Query calls row for each row, until that says that it wants no more.
	Query(ctx context.Context, query string, args []any, row func([]driver.Value) (more bool, err error)) error
}

// Tx runs statements in a transaction of database/sql.
type Tx struct {
	tx   *sql.Tx
	name Name
}

// Executor is one for a transaction of database/sql on the file.
func (f *File) Executor(tx *sql.Tx) Tx { return Tx{tx, f.name} }

// Exec runs a statement that returns no rows.
func (x Tx) Exec(ctx context.Context, query string, args ...any) (driver.Result, error) {
	result, err := x.tx.ExecContext(ctx, query, args...)
	return result, x.name.wrap(err)
}

// Query runs a statement that returns rows.
func (x Tx) Query(ctx context.Context, query string, args []any, row func([]driver.Value) (bool, error)) (err error) {
	rows, err := x.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return x.name.wrap(err)
	}
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = x.name.wrap(closeErr)
		}
	}()
	columns, err := rows.Columns()
	if err != nil {
		return x.name.wrap(err)
	}
	values, dest := make([]driver.Value, len(columns)), make([]any, len(columns))
	for i := range values {
		dest[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return x.name.wrap(err)
		}
		if more, err := row(values); err != nil || !more {
			return err
		}
	}
	return x.name.wrap(rows.Err())
}

// First reads the first row of a query, and tells whether there is one.
func First(ctx context.Context, x Executor, row func([]driver.Value) error, query string, args ...any) (found bool, err error) {
	err = x.Query(ctx, query, args, func(values []driver.Value) (bool, error) {
		found = true
		if row == nil {
			return false, nil
		}
		return false, row(values)
	})
	return found, err
}

// Scan sets what dest points to. The columns have the types that the schema
// declares, so a failure is a mistake of ours or of who changed the schema.
func Scan(row []driver.Value, dest ...any) error {
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
