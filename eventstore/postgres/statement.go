package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
)

// querier is a connection.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// mode is how appends are decided.
type mode int

const (
	// quick writes those that are as expected, in as little as can be done for
	// that, and leaves the others undecided.
	quick mode = iota
	// exact decides all of them.
	exact
	// careful does so too, and looks for duplicates beforehand.
	careful
)

// verdict is what the database has to say of an append.
type verdict struct {
	appended  []eventstore.Appended
	err       error
	undecided bool // it is to be decided exactly
}

// statement is a part of what is sent to commit a batch: the appends of one
// tenant.
type statement interface {
	args() ([]any, error)
	// sql is called after args.
	sql() string
	// read reads the answer and sets the verdicts of its appends.
	read(rows pgx.Rows, verdicts []verdict) error
}

// share is the appends of one tenant in a batch.
type share struct {
	tenant   string
	requests []*request
	indexes  []int // of the requests, in the batch
}

// statements makes what is to be sent for a batch. Tenants, and the streams of
// each, are in an order that is the same for all processes, so that they do not
// deadlock.
func statements(batch []*request, m mode) []statement {
	if m == quick && len(batch) == 1 && batch[0].single() {
		return []statement{&oneEvent{batch[0]}}
	}
	var shares []*share
	for i, r := range batch {
		at, found := slices.BinarySearchFunc(shares, r.tenant, func(s *share, tenant string) int { return cmp.Compare(s.tenant, tenant) })
		if !found {
			shares = slices.Insert(shares, at, &share{tenant: r.tenant})
		}
		shares[at].requests = append(shares[at].requests, r)
		shares[at].indexes = append(shares[at].indexes, i)
	}
	var all []statement
	for _, s := range shares {
		if m == quick && !slices.ContainsFunc(s.requests, func(r *request) bool { return !r.plain() }) {
			all = append(all, newPlainWrites(s))
		} else {
			all = append(all, newAnyWrites(s, m == careful, false))
		}
	}
	return all
}

// execute commits a batch in one round trip and one transaction.
func execute(ctx context.Context, db querier, batch []*request, m mode) ([]verdict, error) {
	all := statements(batch, m)
	verdicts := make([]verdict, len(batch))
	if len(all) == 1 {
		args, err := all[0].args()
		if err != nil {
			return nil, err
		}
		rows, err := db.Query(ctx, all[0].sql(), args...)
		if err != nil {
			return nil, classify(err, false)
		}
		return verdicts, all[0].read(rows, verdicts)
	}
	var pipeline pgx.Batch
	for _, s := range all {
		args, err := s.args()
		if err != nil {
			return nil, err
		}
		pipeline.Queue(s.sql(), args...)
	}
	results := db.SendBatch(ctx, &pipeline)
	for i, s := range all {
		rows, err := results.Query()
		if err != nil {
			// What was asked before has been answered, and is undone.
			err = classify(err, i == len(all)-1)
		} else {
			err = s.read(rows, verdicts)
		}
		if err != nil {
			results.Close() //nolint:errcheck // the error that counts is the first
			return nil, err
		}
	}
	return verdicts, classify(results.Close(), true)
}

// ended reads the end of an answer. answered tells that there was one.
func ended(rows pgx.Rows, answered bool, scanErr error) error {
	rows.Close()
	err := rows.Err()
	if err == nil {
		err = scanErr
	}
	return classify(err, answered)
}
