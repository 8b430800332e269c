package sagatest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
)

// chainTests are for homes whose transactions handlers can do their work in.
var chainTests = []test{
	{"decisions that follow one another are one commit", func(b *bench) {
		tx := b.transactional()
		b.put(record(id("a"), 1), record(id("b"), 1))
		b.post(message(id("a"), "m1"))
		b.post(message(id("a"), "m2"))
		waiting := b.inbox(all("order")...)
		chain := b.chain(id("a"), 2, 3)
		chain[0].Consumed, chain[2].Consumed = []int64{waiting[0].Position}, []int64{waiting[1].Position}
		chain[0].Posts = []saga.Message{message(id("b"), "first")}
		chain[1].Posts = []saga.Message{message(id("c"), "second"), message(id("b"), "first")}
		require.Equal(b, saga.Committed, b.commitTx(tx, chain...))
		b.same(chain[2].Record, b.load(id("a")))
		entries := b.history(id("a"))
		require.Len(b, entries, 4)
		for i, e := range entries[1:] {
			require.Equal(b, chain[i].Entry, e)
		}
		require.Equal(b, []string{"first", "second"}, messageIDs(b.inbox(all("order")...)), "each once, in order")
		require.Equal(b, []string{"b", "a"}, b.due(all("order"), saga.Due{}, 10), "the last is what is found")
		b.committed(change(record(id("a"), 5)))
	}},
	{"a saga begins with a chain", func(b *bench) {
		tx := b.transactional()
		chain := b.chain(id("a"), 1, 4)
		require.Equal(b, saga.Committed, b.commitTx(tx, chain...))
		b.same(chain[3].Record, b.load(id("a")))
		require.Len(b, b.history(id("a")), 4)
		require.Equal(b, saga.Conflict, b.commitTx(tx, chain...), "again")
		require.Equal(b, saga.Committed, b.commitTx(tx, b.chain(id("a"), 5, 1)...), "one is a chain too")
	}},
	{"a chain that is refused leaves nothing behind", func(b *bench) {
		tx := b.transactional()
		w := b.join("w")
		epoch := b.claim(w, id("a").Shard()).Epoch
		first := record(id("a"), 1)
		b.put(first)
		b.post(message(id("a"), "m"))
		at := b.inbox(all("order")...)[0].Position
		refused := func(want saga.Verdict, from, epoch int64) {
			b.Helper()
			chain := b.chain(id("a"), from, 3)
			for i := range chain {
				chain[i].Epoch, chain[i].Consumed, chain[i].Posts = epoch, []int64{at}, []saga.Message{message(id("b"), fmt.Sprint(i))}
			}
			require.Equal(b, want, b.commitTx(tx, chain...))
			b.same(first, b.load(id("a")))
			require.Len(b, b.history(id("a")), 1)
			require.Equal(b, []string{"m"}, messageIDs(b.inbox(all("order")...)))
		}
		refused(saga.Conflict, 1, 0)
		refused(saga.Conflict, 1, epoch)
		refused(saga.Conflict, 3, epoch)
		refused(saga.Fenced, 2, epoch+1)
		refused(saga.Fenced, 3, epoch+1)
		chain := b.chain(id("a"), 2, 2)
		chain[0].Epoch, chain[1].Epoch = epoch, epoch
		require.Equal(b, saga.Committed, b.commitTx(tx, chain...))
	}},
	{"an error of the function rolls back, and is returned", func(b *bench) {
		tx := b.transactional()
		broken := errors.New("broken")
		_, err := tx.CommitTx(b.ctx(), func(context.Context) ([]saga.Change, error) { return b.chain(id("a"), 1, 2), broken })
		require.ErrorIs(b, err, broken)
		require.Empty(b, b.history(id("a")))
	}},
	{"a function that panics rolls back", func(b *bench) {
		tx := b.transactional()
		require.PanicsWithValue(b, "oh", func() {
			_, _ = tx.CommitTx(b.ctx(), func(context.Context) ([]saga.Change, error) { panic("oh") })
		})
		require.Equal(b, saga.Committed, b.commitTx(tx, b.chain(id("a"), 1, 2)...))
	}},
	{"a chain that is none is refused", func(b *bench) {
		tx := b.transactional()
		for name, chain := range map[string][]saga.Change{
			"nothing":      nil,
			"a gap":        append(b.chain(id("a"), 1, 1), b.chain(id("a"), 3, 1)...),
			"one twice":    append(b.chain(id("a"), 1, 1), b.chain(id("a"), 1, 1)...),
			"another saga": append(b.chain(id("a"), 1, 1), b.chain(id("b"), 2, 1)...),
			"epochs": func() []saga.Change {
				chain := b.chain(id("a"), 1, 2)
				chain[1].Epoch = 7
				return chain
			}(),
			"no commit": func() []saga.Change {
				chain := b.chain(id("a"), 1, 2)
				chain[1].Record.Commit = uuid.Nil
				return chain
			}(),
		} {
			_, err := tx.CommitTx(b.ctx(), func(context.Context) ([]saga.Change, error) { return chain, nil })
			var input *eventstore.InputError
			require.ErrorAs(b, err, &input, name)
			require.Empty(b, b.history(id("a")), name)
		}
	}},
	{"a context that ends before is none to begin with", func(b *bench) {
		tx := b.transactional()
		ended, cancel := context.WithCancel(b.ctx())
		cancel()
		_, err := tx.CommitTx(ended, func(context.Context) ([]saga.Change, error) {
			b.Error("it has begun")
			return b.chain(id("a"), 1, 2), nil
		})
		require.ErrorIs(b, err, context.Canceled)
		require.Empty(b, b.history(id("a")))
	}},
	{"posts of a chain wake", func(b *bench) {
		tx := b.transactional()
		waker, ok := b.store.(saga.Waker)
		if !ok {
			b.Skip("the home does not wake")
		}
		wake := waker.Wake(b.ctx())
		chain := b.chain(id("a"), 1, 2)
		chain[0].Posts = []saga.Message{message(id("b"), "m")}
		require.Equal(b, saga.Committed, b.commitTx(tx, chain...))
		select {
		case <-wake:
		case <-time.After(time.Minute):
			b.Fatal("nobody was told")
		}
	}},
	{"a closed store commits no chain", func(b *bench) {
		tx := b.transactional()
		if b.home.Close == nil {
			b.Skip("the home cannot be closed")
		}
		require.NoError(b, b.home.Close(b.store))
		_, err := tx.CommitTx(b.ctx(), func(context.Context) ([]saga.Change, error) { return b.chain(id("a"), 1, 2), nil })
		require.ErrorIs(b, err, saga.ErrClosed)
	}},
	{"a home joins itself and nothing else", func(b *bench) {
		tx := b.transactional()
		require.True(b, tx.Joins(b.store))
		for _, other := range []any{nil, 1, []int{1}, b.home.Open(b.T)} {
			require.False(b, tx.Joins(other), "%T", other)
		}
	}},
}

func (b *bench) transactional() saga.Transactional {
	b.Helper()
	tx, ok := b.store.(saga.Transactional)
	if !ok {
		b.Skip("no handler does its work in transactions of the home")
	}
	return tx
}

// chain are changes from one sequence on, that many.
func (b *bench) chain(id saga.ID, from int64, n int) []saga.Change {
	var chain []saga.Change
	for i := range int64(n) {
		chain = append(chain, change(record(id, from+i)))
	}
	return chain
}

func (b *bench) commitTx(tx saga.Transactional, chain ...saga.Change) saga.Verdict {
	b.Helper()
	verdict, err := tx.CommitTx(b.ctx(), func(context.Context) ([]saga.Change, error) { return chain, nil })
	require.NoError(b, err)
	return verdict
}
