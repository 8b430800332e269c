package pghome_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/internal/pghome"
)

// A pooler says that the server is gone as a server says what it refuses.
func TestExplainWhatAPoolerSays(t *testing.T) {
	t.Parallel()
	gone := &pgconn.PgError{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "08P01", Message: "server conn crashed?"}
	require.True(t, pghome.PoolerLost(gone))
	require.Equal(t, pghome.Trouble{Code: "08P01", Reason: "a pooler lost the server", Retryable: true}, pghome.Explain(fmt.Errorf("append: %w", gone)))

	malformed := &pgconn.PgError{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "08P01", Message: "invalid message format"}
	require.False(t, pghome.PoolerLost(malformed))
	require.Equal(t, pghome.Trouble{Code: "08P01"}, pghome.Explain(malformed))
}

// That row_security is off is told in any language.
func TestExplainRowSecurity(t *testing.T) {
	t.Parallel()
	off := &pgconn.PgError{Severity: "FEHLER", SeverityUnlocalized: "ERROR", Code: "42501", Message: "Auswirkung", Routine: "check_enable_rls"}
	require.Contains(t, pghome.Explain(off).Reason, "row_security is off")
	off.Routine = "aclcheck_error"
	require.Contains(t, pghome.Explain(off).Reason, "lacks a right")
}
