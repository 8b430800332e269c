package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// What a pooler says of a server that it lost says nothing of the commit.
func TestPoolerLosesTheServer(t *testing.T) {
	t.Parallel()
	said := func(severity, code string) error {
		return classify(&pgconn.PgError{Severity: severity, SeverityUnlocalized: severity, Code: code}, false)
	}
	require.ErrorAs(t, said("FATAL", "08P01"), new(*unknownError))
	require.NotErrorAs(t, said("FATAL", "57P01"), new(*unknownError), "the server itself has ended it")
	require.NotErrorAs(t, said("ERROR", "08P01"), new(*unknownError))
}
