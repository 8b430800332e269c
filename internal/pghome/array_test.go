package pghome_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/internal/pghome"
)

// What an array is as text is read again as what it was.
func TestArrayAsText(t *testing.T) {
	t.Parallel()
	text := func(s string) pgtype.Text { return pgtype.Text{String: s, Valid: true} }
	asText(t, pgtype.TextArrayOID, pghome.Array[pgtype.Text]{
		text(""), text("null"), text("NULL"), {}, text(`a"b\c`), text("{a,b}"), text(" a "), text("'; --"), text("日本\n"),
	})
	asText(t, pgtype.TextArrayOID, pghome.Array[pgtype.Text]{})
	asText(t, pgtype.UUIDArrayOID, pghome.Array[pgtype.UUID]{{Bytes: [16]byte{1, 2, 15: 3}, Valid: true}, {}})
	asText(t, pgtype.TimestamptzArrayOID, pghome.Array[pgtype.Timestamptz]{
		{Time: time.Date(2026, 11, 28, 13, 0, 0, 123_456_000, time.Local), Valid: true}, {},
	})
	asText(t, pgtype.ByteaArrayOID, pghome.Array[pghome.Blob]{{}, {0, 1, '\\', '"', 0xff}, nil})

	none, err := pghome.Array[pgtype.Text](nil).Value()
	require.NoError(t, err)
	require.Nil(t, none)
	_, err = pghome.Array[struct{}]{{}}.Value()
	require.Error(t, err, "a type that nobody has named")
}

func asText[T any](t *testing.T, oid uint32, a pghome.Array[T]) {
	t.Helper()
	v, err := a.Value()
	require.NoError(t, err)
	var again []T
	require.NoError(t, pgtype.NewMap().Scan(oid, pgtype.TextFormatCode, []byte(v.(string)), &again)) //nolint:forcetypeassert // it fails the test
	require.Equal(t, []T(a), again, v)
}
