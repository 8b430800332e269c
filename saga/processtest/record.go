package processtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
)

// noted is an effect in the record.
type noted struct {
	Key     string `json:"key"`
	Request string `json:"request"`
	Process int    `json:"process"`
}

// record is a file that several processes append to. What was noted is on the
// disk.
type record struct{ file *os.File }

func openRecord(path string) (record, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return record{f}, err
}

func (r record) note(ctx context.Context, request string) error {
	line, err := json.Marshal(noted{saga.EffectID(ctx), request, os.Getpid()})
	if err != nil {
		return err
	}
	if _, err := r.file.Write(append(line, '\n')); err != nil { // at once, so that lines do not mix
		return err
	}
	return r.file.Sync()
}

func readRecord(t *testing.T, path string) []noted {
	t.Helper()
	f, err := os.Open(path) //nolint:gosec // it is the test's own
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var all []noted
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var n noted
		require.NoError(t, json.Unmarshal(lines.Bytes(), &n), "line %q", lines.Text())
		all = append(all, n)
	}
	require.NoError(t, lines.Err())
	return all
}

// decision is what the judge reads of a line of history.
type decision struct {
	Input struct {
		Kind   string `json:"kind"`
		Effect string `json:"effect"`
		Key    string `json:"key"`
	} `json:"input"`
}

// verdict is what the judge has found.
type verdict struct {
	sagas, repeated int
	times           map[string]int          // that each effect was done, by its key
	by              map[string]map[int]bool // the processes that have done it
}

// judge holds every saga of a home, and the record, to what was promised: those
// that were accepted are there, each has ended as it should, everything was decided
// once, and what was done several times was done under the same key.
func judge(t *testing.T, s saga.Store, path string, accepted map[string]bool) verdict {
	t.Helper()
	v := verdict{times: map[string]int{}, by: map[string]map[int]bool{}}
	keys := map[string]map[string]string{} // by saga and request
	for _, n := range readRecord(t, path) {
		of := keyOf(n.Key)
		if keys[of] == nil {
			keys[of] = map[string]string{}
		}
		if known, again := keys[of][n.Request]; again {
			require.Equal(t, known, n.Key, "%s of %q was done under two keys", n.Request, of)
			v.repeated++
		}
		keys[of][n.Request] = n.Key
		v.times[n.Key]++
		if v.by[n.Key] == nil {
			v.by[n.Key] = map[int]bool{}
		}
		v.by[n.Key][n.Process] = true
	}
	there := map[string]bool{}
	for q := (saga.Query{Type: errands.Name(), Limit: 500}); ; {
		page, err := s.List(t.Context(), q)
		require.NoError(t, err)
		for i := range page {
			r := &page[i]
			there[r.ID.Key] = true
			status, done := expect(wayOf(r.ID.Key))
			require.Equal(t, status, r.Status, "%s: %s", r.ID, r.Reason)
			require.Equal(t, done, sortedKeys(keys[r.ID.Key]), "effects of %s", r.ID)
			require.NoError(t, decidedOnce(t.Context(), s, r, errands.Replay), "%s", r.ID)
			for _, pair := range [][2]string{{"hold", "release"}, {"charge", "refund"}} {
				if undo, undone := keys[r.ID.Key][pair[1]]; undone {
					require.Equal(t, keys[r.ID.Key][pair[0]]+"/undo", undo, "key of the undo of %s", r.ID)
				}
			}
		}
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].ID
	}
	for key := range accepted {
		require.True(t, there[key], "saga %q was accepted and is lost", key)
	}
	for key := range keys {
		require.True(t, there[key], "effects of %q, which is not there", key)
	}
	v.sagas = len(there)
	return v
}

// decidedOnce reads a history: it has no gap, one start, and no reply or timer
// twice, and its replay comes to the same.
func decidedOnce(ctx context.Context, s saga.Store, r *saga.Record, replay func(saga.ID, []saga.Entry) (*saga.Drift, error)) error {
	entries, err := s.History(ctx, r.ID, 0, 1000)
	if err != nil {
		return err
	}
	if int64(len(entries)) != r.Sequence {
		return fmt.Errorf("%d lines of history at sequence %d", len(entries), r.Sequence)
	}
	seen := map[string]bool{}
	for i, e := range entries {
		var d decision
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		on := strings.Join([]string{e.Kind, d.Input.Effect, d.Input.Key}, " ")
		switch {
		case e.Sequence != int64(i+1):
			return fmt.Errorf("line %d has sequence %d", i+1, e.Sequence)
		case e.Kind == "attempt": // of which there may be several
		case seen[on]:
			return fmt.Errorf("%q was decided twice", on)
		}
		seen[on] = true
	}
	if len(entries) == 0 || entries[0].Kind != "start" {
		return errors.New("it has no start")
	}
	drift, err := replay(r.ID, entries)
	if drift != nil {
		return fmt.Errorf("a replay drifts: %+v", *drift)
	}
	return err
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
