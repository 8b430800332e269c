package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/testkit"
)

// ledger is a state with all that a journal must carry: times, ids, results,
// timers, maps.
type ledger struct {
	Entries map[string]int
	IDs     []string
	Last    string
	Failed  string
}

type entry struct{ Name string }

type booked struct {
	Name string
	Err  error
}

type book struct{ Name string }

func (book) Returns(int) {}

var errFull = errors.New("book is full")

type bookkeeper struct{}

func (bookkeeper) Reduce(s *ledger, action any, env reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case entry:
		if s.Entries == nil {
			s.Entries = map[string]int{}
		}
		s.Entries[a.Name]++
		s.IDs = append(s.IDs, env.NewID().String())
		s.Last = env.Now().String()
		if a.Name == "panic" {
			panic("no such page")
		}
		return effect.Do(book(a), func(r effect.Result[int]) any { return booked{a.Name, r.Err} })
	case booked:
		if errors.Is(a.Err, errFull) {
			s.Failed = a.Name
		}
	}
	return effect.Effect[any]{}
}

func bookHandler() effect.Handler {
	return effect.Handle(func(_ context.Context, q book) (int, error) {
		if strings.HasSuffix(q.Name, "9") {
			return 0, fmt.Errorf("page %s: %w", q.Name, errFull)
		}
		return 1, nil
	})
}

var bookTypes = []testkit.ReplayOption{testkit.Actions(entry{}, booked{}), testkit.Errors(errFull)}

func TestJournalReplays(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]store.JournalConfig{
		"hashes": {},
		"states": {States: true},
		"redacted": {Redact: func(v any) any {
			switch v := v.(type) {
			case entry:
				return entry{strings.ReplaceAll(v.Name, "secret", "name")}
			case booked:
				v.Name = strings.ReplaceAll(v.Name, "secret", "name")
				return v
			}
			return v
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var file bytes.Buffer
			j := store.NewJournal(&file, cfg)
			k, err := store.NewKeyed(func(string) ledger { return ledger{} }, bookkeeper{},
				store.KeyedConfig[string, ledger]{Config: store.Config{Name: "ledgers", Journal: j, Handlers: []effect.Handler{bookHandler()}}, MaxLive: 3})
			require.NoError(t, err)
			var wg sync.WaitGroup
			for sender := range 8 {
				wg.Go(func() {
					for i := range 50 {
						if err := k.Send(t.Context(), fmt.Sprint("k", sender%3), entry{fmt.Sprint("secret", i)}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			require.NoError(t, k.Shutdown(t.Context()))
			require.NoError(t, j.Err())
			require.Zero(t, j.Lost())
			if name == "redacted" {
				require.NotContains(t, file.String(), "secret0")
			}
			require.Equal(t, 800+3, strings.Count(file.String(), "\n"))
			testkit.ReplayFrom(t, "journal", bytes.NewReader(file.Bytes()), bookkeeper{}, bookTypes...)

			// The process was killed in the middle of a line.
			torn := file.Bytes()[:file.Len()-20]
			testkit.ReplayFrom(t, "journal", bytes.NewReader(torn), bookkeeper{}, bookTypes...)
		})
	}
}

func TestJournalTellsOfAPanic(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	s, err := store.New(ledger{}, bookkeeper{}, store.Config{
		Journal: store.NewJournal(&file, store.JournalConfig{}), Handlers: []effect.Handler{bookHandler()},
	})
	require.NoError(t, err)
	require.NoError(t, s.SendAndSettle(t.Context(), entry{"a"}))
	_ = s.SendAndSettle(t.Context(), entry{"panic"})
	_ = s.Shutdown(t.Context())
	lines := strings.Split(strings.TrimSpace(file.String()), "\n")
	require.Len(t, lines, 4)
	require.Contains(t, lines[3], `"panic":"no such page"`)
	require.Contains(t, lines[3], `"action":{"Name":"panic"}`)
}

func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	j := store.NewJournal(&file, store.JournalConfig{MaxBytes: 4096})
	s, err := store.New(ledger{}, bookkeeper{}, store.Config{Journal: j, Handlers: []effect.Handler{bookHandler()}})
	require.NoError(t, err)
	for range 100 {
		require.NoError(t, s.SendAndSettle(t.Context(), entry{"a"}))
	}
	require.NoError(t, s.Shutdown(t.Context()))
	require.NoError(t, j.Err())
	require.Positive(t, j.Lost())
	require.LessOrEqual(t, file.Len(), 4096)
	require.True(t, strings.HasSuffix(file.String(), `"cut":"the journal is bounded to 4096 bytes"}`+"\n"))
	testkit.ReplayFrom(t, "journal", &file, bookkeeper{}, bookTypes...)
}

// fullDisk takes so many bytes and then no more.
type fullDisk struct{ left int }

var errNoSpace = errors.New("no space left")

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.left -= len(p); d.left < 0 {
		return 0, errNoSpace
	}
	return len(p), nil
}

func TestJournalThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	j := store.NewJournal(&fullDisk{2000}, store.JournalConfig{})
	s, err := store.New(ledger{}, bookkeeper{}, store.Config{Journal: j, Handlers: []effect.Handler{bookHandler()}})
	require.NoError(t, err)
	for range 20 {
		require.NoError(t, s.SendAndSettle(t.Context(), entry{"a"}), "the store goes on")
	}
	require.NoError(t, s.Shutdown(t.Context()))
	require.ErrorIs(t, j.Err(), errNoSpace)
	require.Positive(t, j.Lost())
}

func TestJournalBadInput(t *testing.T) {
	t.Parallel()
	open := func(j *store.Journal) error {
		_, err := store.New(ledger{}, bookkeeper{}, store.Config{Name: "ledger", Journal: j})
		return err
	}
	require.EqualError(t, open(store.NewJournal(nil, store.JournalConfig{})), `store "ledger": Config.Journal: the writer is nil`)
	require.EqualError(t, open(store.NewJournal(&bytes.Buffer{}, store.JournalConfig{MaxBytes: -1})),
		`store "ledger": JournalConfig.MaxBytes is -1, must not be negative`)
	_, err := store.New(struct{ F func() }{}, reducer.Func[struct{ F func() }, int](func(*struct{ F func() }, int, reducer.Env) effect.Effect[int] {
		return effect.Effect[int]{}
	}), store.Config{Name: "funcs", Journal: store.NewJournal(&bytes.Buffer{}, store.JournalConfig{})})
	require.ErrorContains(t, err, `store "funcs": Config.Journal: `)
	require.ErrorContains(t, err, "F: func() cannot be hashed")
}
