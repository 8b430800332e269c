package pghome

import (
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"
)

// Array is a parameter that is an array. pgx gets its elements by pointer: it
// would put a copy of each on the heap, and finds out by reflection how to encode
// those of most slices. Nil is NULL.
type Array[T any] []T

// Dimensions returns its length. With Index and IndexType it makes the array a
// pgtype.ArrayGetter.
func (a Array[T]) Dimensions() []pgtype.ArrayDimension {
	if a == nil {
		return nil
	}
	return []pgtype.ArrayDimension{{Length: int32(len(a)), LowerBound: 1}}
}

// Index returns a pointer to an element.
func (a Array[T]) Index(i int) any { return &a[i] }

// IndexType returns a pointer to nothing, of the same type.
func (Array[T]) IndexType() any { return new(T) }

// Value is the array as text, for connections that do not ask the server of which
// types parameters are: pgx.QueryExecModeExec and QueryExecModeSimpleProtocol.
func (a Array[T]) Value() (driver.Value, error) {
	if a == nil {
		return nil, nil //nolint:nilnil // it is NULL
	}
	var oid uint32
	switch any(new(T)).(type) {
	case *pgtype.Text:
		oid = pgtype.TextArrayOID
	case *pgtype.UUID:
		oid = pgtype.UUIDArrayOID
	case *pgtype.Timestamptz:
		oid = pgtype.TimestamptzArrayOID
	case *Blob:
		oid = pgtype.ByteaArrayOID
	default:
		return nil, fmt.Errorf("%T cannot be sent as text", a)
	}
	text, err := pgtype.NewMap().Encode(oid, pgtype.TextFormatCode, a, nil)
	return string(text), err
}

// Blob is an element of an array of bytea. Nil is NULL.
type Blob []byte

// BytesValue makes it a pgtype.BytesValuer.
func (b *Blob) BytesValue() ([]byte, error) { return *b, nil }
