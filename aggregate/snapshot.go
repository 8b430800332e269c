package aggregate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/reducer"
)

// snapshotType is the type of the snapshots that hosts keep.
const snapshotType = "state"

// defaultSnapshotEvery is how many events there are between snapshots if nothing
// is said.
const defaultSnapshotEvery = 100

// kept is what is known about the last snapshot of a stream.
type kept struct {
	Version eventstore.Version
	Bytes   int       // of the data of the events since
	At      time.Time // when it was saved, or else the first event recorded
}

// more counts an event that came after the snapshot.
func (k *kept) more(e eventstore.Recorded) {
	k.Bytes += len(e.Data)
	if k.At.IsZero() {
		k.At = e.At
	}
}

// saveSnapshot asks for a snapshot to be kept.
type saveSnapshot[S any] struct {
	Tenant, Stream string
	Version        eventstore.Version
	State          S // only read
}

// Returns names the result.
func (saveSnapshot[S]) Returns(struct{}) {}

// snapshot adds a snapshot of the state if one is due.
func (r *rules[S, C, E]) snapshot(s *machine[S, C], env reducer.Env, out *effects[action[S, C]]) {
	if r.snapshots == nil || s.rows {
		return
	}
	info := eventstore.SnapshotInfo{Version: s.version, Events: int(s.version - s.kept.Version), Bytes: s.kept.Bytes}
	if !s.kept.At.IsZero() {
		info.Age = env.Now().Sub(s.kept.At)
	}
	if !r.snapshots.Due(info) {
		return
	}
	s.kept = kept{Version: s.version, At: env.Now()}
	out.add(effect.Fire[action[S, C]](saveSnapshot[S]{s.tenant, s.stream, s.version, s.state}, r.ofAppend...))
}

// archive keeps snapshots of states, as JSON.
type archive[S any] struct {
	keep   eventstore.Snapshots
	schema int
	upcast func(schema int, data []byte) ([]byte, error)
	hash   *fingerprint.Type[S]
}

func archiveOf[S any](cfg Config[S]) (*archive[S], error) {
	if cfg.Snapshots == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	hash, err := fingerprint.For[S]()
	if err != nil {
		return nil, fmt.Errorf("Config.Snapshots: states of that type cannot be kept: %w", err)
	}
	return &archive[S]{cfg.Snapshots, cfg.SnapshotSchema, cfg.SnapshotUpcast, hash}, nil
}

// save keeps a snapshot. A state that JSON does not keep whole is refused, since
// commands would be decided on what is left of it.
func (a *archive[S]) save(ctx context.Context, q saveSnapshot[S]) (struct{}, error) {
	none := struct{}{}
	data, err := json.Marshal(&q.State)
	if err != nil {
		return none, effect.Permanent(fmt.Errorf("snapshot of %q: %w", q.Stream, err))
	}
	var read S
	if err := json.Unmarshal(data, &read); err != nil {
		return none, effect.Permanent(fmt.Errorf("snapshot of %q: read it again: %w", q.Stream, err))
	}
	if a.hash.Hash(&read) != a.hash.Hash(&q.State) {
		return none, effect.Permanent(fmt.Errorf("snapshot of %q: encoding/json does not keep all of a %T: export its fields, or give it MarshalJSON and UnmarshalJSON", q.Stream, read))
	}
	snapshot := eventstore.Snapshot{Stream: q.Stream, Type: snapshotType, Schema: a.schema, Version: q.Version, Data: data}
	if s, ok := any(&q.State).(interface{ Subjects() []string }); ok {
		snapshot.Subjects = s.Subjects()
	}
	if err := a.keep.SaveSnapshot(withTenant(ctx, q.Tenant), snapshot); err != nil {
		return none, lasting(fmt.Errorf("snapshot of %q: %w", q.Stream, err))
	}
	return none, nil
}

// load returns the snapshot of a stream, as a state to go on from: the zero one
// if there is none. One that cannot be used is thrown away. Failing to read one
// is no error: there are the events.
func (a *archive[S]) load(ctx context.Context, stream string) (b base[S], k kept) {
	if a == nil {
		return b, k
	}
	s, found, err := a.keep.LoadSnapshot(ctx, stream, snapshotType)
	if err != nil || !found {
		return b, k
	}
	state, err := a.read(s)
	if err != nil {
		a.drop(ctx, stream)
		return b, k
	}
	return base[S]{State: state, Version: s.Version}, kept{Version: s.Version, At: s.At}
}

func (a *archive[S]) read(s eventstore.Snapshot) (state S, err error) {
	data, schema := s.Data, max(s.Schema, 1)
	switch {
	case schema > a.schema:
		return state, errors.New("it is newer than this program")
	case schema < a.schema && a.upcast == nil:
		return state, errors.New("it is older")
	case schema < a.schema:
		if data, err = a.upcast(schema, data); err != nil {
			return state, err
		}
	}
	err = json.Unmarshal(data, &state)
	return state, err
}

// drop throws a snapshot away. If that fails it is found again, and again.
func (a *archive[S]) drop(ctx context.Context, stream string) {
	if a != nil {
		_ = a.keep.DeleteSnapshot(ctx, stream, snapshotType)
	}
}
