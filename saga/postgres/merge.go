package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/saga"
)

// merged reads a page of what is sorted within each of many shards. It asks each
// for a few more than its share, takes what is before the end of the first that
// has more to give, and goes on from there, with more each time. So a page costs
// about as much as it is long, however much there is behind it, and a few round
// trips where all of it is in one shard.
//
// ask returns a statement for what comes after a place, so many of each shard in
// order, and what reads a row with the number of its shard, from 1.
func merged[T any](
	ctx context.Context, s *Store, shards []saga.Shard, after T, limit int, compare func(a, b T) int,
	ask func(after T, each int) (sql string, args []any, scan func(pgx.Rows) (int32, T, error)),
) ([]T, error) {
	if len(shards) == 0 {
		return nil, s.open(ctx)
	}
	var page []T
	for each := firstShare(limit, len(shards)); ; each *= 4 {
		sql, args, scan := ask(after, each)
		var found []T
		var given []int // of each shard
		var last []T
		err := s.query(ctx, "find sagas", sql, args, func(rows pgx.Rows) error {
			found, given, last = nil, make([]int, len(shards)), make([]T, len(shards))
			for rows.Next() {
				nth, one, err := scan(rows)
				if err != nil {
					return err
				}
				found = append(found, one)
				if given[nth-1] == 0 || compare(one, last[nth-1]) > 0 {
					last[nth-1] = one
				}
				given[nth-1]++
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		slices.SortFunc(found, compare)
		end := len(found)
		more := false
		for i, n := range given {
			if n < each {
				continue
			}
			at, _ := slices.BinarySearchFunc(found, last[i], compare)
			end, more = min(end, at+1), true
		}
		page = append(page, found[:end]...)
		if !more || len(page) >= limit {
			return slices.Clip(page[:min(limit, len(page))]), nil
		}
		after = page[len(page)-1]
	}
}

// firstShare is a power of two: there are few statements then, which stay
// prepared.
func firstShare(limit, shards int) int {
	each := 4
	for each*shards < 2*limit {
		each *= 2
	}
	return each
}
