package saga

import (
	"hash/maphash"
	"slices"
)

// What is explored is copied and told apart by these methods. Heads, inputs,
// changes and events are never changed once they are made, so that copies share
// them.

var exploreSeed = maphash.MakeSeed()

type hasher struct{ maphash.Hash }

func newHasher() *hasher {
	h := new(hasher)
	h.SetSeed(exploreSeed)
	return h
}

func with[T comparable](h *hasher, values ...T) {
	for _, v := range values {
		maphash.WriteComparable(&h.Hash, v)
	}
}

func (h *hasher) bytes(all ...[]byte) {
	for _, b := range all {
		with(h, len(b))
		_, _ = h.Write(b)
	}
}

func (h *hasher) record(r *Record) {
	with(h, r.Commit)
	with(h, r.Sequence)
}

func (h *hasher) input(in *input) {
	with(h, string(in.Kind), in.Message, in.Effect, in.Key, in.Reason)
	with(h, in.Later, in.Stale, in.parked)
	with(h, in.position, int64(in.hold), in.At.UnixMicro()) //nolint:gosec // small
	h.bytes(in.Value)
	if in.Failure != nil {
		with(h, in.Failure.Message)
	}
	if in.Action != nil {
		with(h, in.Action.Name)
		h.bytes(in.Action.Data)
	}
}

func (m machine) Clone() machine {
	m.Queue, m.Running = slices.Clone(m.Queue), slices.Clone(m.Running)
	return m
}

func (m machine) Hash() uint64 {
	h := newHasher()
	with(h, m.Epoch, int64(m.Phase), int64(m.Tries), int64(m.Holds), m.Armed.UnixMicro()) //nolint:gosec // small
	with(h, m.Leaving)
	if m.Head != nil {
		h.record(&m.Head.Record)
	}
	for _, in := range m.Queue {
		h.input(in)
	}
	if m.Next != nil {
		h.input(m.Next.Input)
		h.record(&m.Next.Change.Record)
	}
	with(h, m.Running...)
	with(h, m.Head == nil)
	return h.Sum64()
}

func (w exploredWorld) Clone() exploredWorld {
	w.Decided = slices.Clone(w.Decided)
	return w
}

func (w exploredWorld) Hash() uint64 {
	h := newHasher()
	h.record(&w.Record)
	with(h, w.Epoch)
	with(h, w.Decided...)
	with(h, w.Seats, w.Card)
	return h.Sum64()
}

func (q commit) Clone() commit { return q }
func (q commit) Hash() uint64 {
	h := newHasher()
	h.record(&q.Change.Record)
	with(h, q.Change.Epoch)
	return h.Sum64()
}

func (q perform) Clone() perform { return q }
func (q perform) Hash() uint64 {
	h := newHasher()
	with(h, q.Attempt)
	with(h, q.Request)
	return h.Sum64()
}

func (e submit) Clone() submit               { return e }
func (e loadedHead) Clone() loadedHead       { return e }
func (e committedHead) Clone() committedHead { return e }
func (e performed) Clone() performed         { return e }
