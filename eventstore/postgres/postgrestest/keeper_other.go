//go:build !unix

package postgrestest

import "errors"

type keeper struct{ dir string }

func startKeeper(string) (*keeper, error) {
	return nil, errors.New("servers are started on Unix only; set RONDO_TEST_DATABASE_URL")
}

func (*keeper) run(string, ...string) error { return errors.ErrUnsupported }

func (*keeper) close() error { return nil }
