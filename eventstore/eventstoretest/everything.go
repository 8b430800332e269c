package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var everythingTests = []subtest{{"at once", everythingAtOnce}}

// everythingAtOnce has many goroutines do everything. What each sees must be
// sound; the race detector sees the rest.
func everythingAtOnce(s *scene) {
	ctx := s.ctx()
	streams := []string{s.stream(), s.stream(), s.stream()}
	head := headOf(ctx, s)
	mark, shared := s.unique(), s.unique()
	subscribed := background(func() error {
		got, err := until(s.Store.Subscribe(ctx, head, eventstore.Filter{}), mark)
		if err != nil {
			return err
		}
		return sound(got)
	})
	s.race(func(i int) error {
		random := rand.New(rand.NewPCG(4, uint64(i)))
		for k := range 24 {
			stream := streams[random.IntN(len(streams))]
			if err := s.anything(ctx, random, stream, shared, fmt.Sprint(i, " ", k)); err != nil {
				return fmt.Errorf("goroutine %d, call %d: %w", i, k, err)
			}
		}
		return nil
	})
	s.append(ctx, write(mark, eventstore.None, 1))
	require.NoError(s, subscribed())
	for _, stream := range streams {
		s.ascending(s.readStream(ctx, stream))
	}
}

// anything makes a random call. Errors that the contract has for who was slower
// are none.
func (s *scene) anything(ctx context.Context, random *rand.Rand, stream, shared, own string) error {
	store := s.Store
	version := eventstore.Version(random.IntN(12))
	switch random.IntN(10) {
	default:
		_, err := store.Append(ctx, write(stream, eventstore.Any, 1+random.IntN(3)))
		return err
	case 3:
		_, err := store.Append(ctx, write(stream, eventstore.Exactly(version), 1))
		if isConflict(err) {
			return nil
		}
		return err
	case 4:
		got, err := collect(store.ReadStream(ctx, stream, version))
		if err != nil {
			return err
		}
		return sound(got)
	case 5:
		got, err := pages(store.ReadAll(ctx, 0, eventstore.Filter{Categories: []string{eventstore.Category(stream)}}), 50)()
		if err != nil {
			return err
		}
		return sound(got)
	case 6:
		c, ok := store.(eventstore.Claims)
		if !ok {
			return nil
		}
		until := time.Now().Add(time.Duration(random.IntN(3)-1) * time.Minute)
		_, err := store.Append(ctx, eventstore.Write{Claim: &eventstore.Claim{Key: shared, Result: []byte(own), Until: until}})
		if err != nil && !errors.As(err, new(*eventstore.ClaimedError)) {
			return err
		}
		if _, _, err := c.LoadClaim(ctx, shared); err != nil {
			return err
		}
		_, err = c.DeleteExpiredClaims(ctx, 3)
		return err
	case 7:
		c, ok := store.(eventstore.Snapshots)
		if !ok {
			return nil
		}
		err := c.SaveSnapshot(ctx, eventstore.Snapshot{Stream: stream, Type: "seats", Version: version + 1, Data: []byte(own)})
		if err != nil && !errors.As(err, new(*eventstore.InputError)) { // the stream is not there yet
			return err
		}
		if _, _, err = c.LoadSnapshot(ctx, stream, "seats"); err != nil || random.IntN(4) > 0 {
			return err
		}
		return c.DeleteSnapshot(ctx, stream, "seats")
	case 8:
		c, ok := store.(eventstore.Checkpoints)
		if !ok {
			return nil
		}
		lease, err := c.AcquireLease(ctx, shared, own, long)
		if errors.As(err, new(*eventstore.LeaseHeldError)) {
			_, _, err = c.LoadCheckpoint(ctx, shared)
			return err
		}
		if err != nil {
			return err
		}
		if lease, err = c.SaveCheckpoint(ctx, lease, lease.Checkpoint+1, long); err != nil {
			return err // nobody else could have taken it
		}
		return c.ReleaseLease(ctx, lease)
	case 9:
		c, ok := store.(eventstore.Keys)
		if !ok {
			return nil
		}
		if _, err := c.Key(ctx, shared); err != nil {
			return err
		}
		if _, err := c.Key(ctx, shared+own); err != nil {
			return err
		}
		return c.DeleteKey(ctx, shared+own)
	}
}
