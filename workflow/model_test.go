package workflow_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/workflow"
)

// model is the naive version: one list of everything accepted and not finished,
// and what is known of the data. Around it is the reducer's world: commands that
// were handed out and are on their way back, and loads that are under way.
type model struct {
	t      *rapid.T
	w      flow
	policy workflow.Policy
	now    time.Time
	clock  int // orders what happens, where time may stand or go back

	line    []accepted
	onWay   []order // handed out, to be admitted again
	load    *fetch
	data    *fetch // what the state holds and the policy has not thrown away
	ended   map[string]string
	nextID  int
	changed map[string]int // when a key was last invalidated
	kept    map[string]flow
}

type accepted struct {
	order
	since int
	out   bool
}

type fetch struct {
	key          string
	since, until int
	at           time.Time
	outdated     bool
}

func keyOf(c order) string { return c.ID[:1] }

func (m *model) tick() int {
	m.clock++
	return m.clock
}

func (m *model) end(c order, how string) {
	require.Empty(m.t, m.ended[c.ID], "%s has ended before", c.ID)
	m.ended[c.ID] = how
}

// admit compares the answer with the one that follows from the rules.
func (m *model) admit(c order, again bool) {
	t, key := m.t, keyOf(c)
	at := slices.IndexFunc(m.line, func(a accepted) bool { return a.ID == c.ID })
	require.Equal(t, again, at >= 0, "the model knows who is accepted")

	usable := m.load == nil && m.data != nil && m.data.key == key
	first := at == 0
	if !again {
		first = len(m.line) == 0
		switch f := m.policy.Freshness; f {
		case workflow.EveryCommand:
			usable = false
		case workflow.UntilInvalidated:
		default:
			usable = usable && !m.now.Before(m.data.at) && m.now.Before(m.data.at.Add(time.Duration(f)))
		}
	}

	before := m.w
	step, err := m.w.Admit(key, c, m.now, m.policy)
	switch {
	case usable && first:
		require.NoError(t, err)
		require.Equal(t, workflow.Process, step, "%s", c.ID)
		m.process(c, again)
	case !again && len(m.line) >= m.policy.MaxWaiting:
		require.ErrorIs(t, err, workflow.ErrFull)
		full, ok := errors.AsType[*workflow.FullError](err)
		require.True(t, ok)
		require.Equal(t, workflow.FullError{Key: key, Waiting: len(m.line), Released: m.out(), Limit: m.policy.MaxWaiting}, *full)
		require.Zero(t, step)
		require.Equal(t, before, m.w, "a refusal changes nothing")
		m.end(c, "refused")
	default:
		require.NoError(t, err, "%s", c.ID)
		if again {
			m.line[at].out = false
		} else {
			m.line = append(m.line, accepted{order: c, since: m.tick()})
		}
		want := workflow.Wait
		if m.load == nil {
			want = workflow.Load
			m.load, m.data = &fetch{key: key, since: m.tick()}, nil
		}
		require.Equal(t, want, step, "%s", c.ID)
	}
}

// process checks, of a command that is processed, what the package promises.
func (m *model) process(c order, again bool) {
	t := m.t
	require.Equal(t, keyOf(c), m.data.key, "data of its own key")
	require.Greater(t, m.data.since, m.changed[m.data.key], "data that was not invalidated since its load began")
	if again {
		require.Equal(t, m.line[0].ID, c.ID, "order of arrival")
		require.Greater(t, m.data.until, m.line[0].since, "data that it waited for")
		m.line = m.line[1:]
	}
	m.end(c, "processed")
	m.endShare()
}

func (m *model) endShare() {
	if m.policy.Freshness == workflow.EveryCommand && (len(m.line) == 0 || keyOf(m.line[0].order) != m.data.key) {
		m.data = nil
	}
}

func (m *model) out() int {
	n := 0
	for _, a := range m.line {
		if a.out {
			n++
		}
	}
	return n
}

// release hands out those that wait.
func (m *model) release() []order {
	var out []order
	for i := range m.line {
		if !m.line[i].out {
			m.line[i].out = true
			out = append(out, m.line[i].order)
		}
	}
	m.onWay = append(m.onWay, out...)
	return out
}

func (m *model) loaded() {
	waiting, ok := m.w.Loaded(m.load.key, m.now, m.policy)
	require.True(m.t, ok)
	require.Equal(m.t, m.release(), waiting)
	m.data, m.load = m.load, nil
	m.data.until, m.data.at = m.tick(), m.now
	if m.data.outdated {
		m.data = nil
		return
	}
	m.endShare()
}

func (m *model) failed() {
	var want []order
	m.line = slices.DeleteFunc(m.line, func(a accepted) bool {
		if a.out || keyOf(a.order) != m.load.key {
			return false
		}
		want = append(want, a.order)
		return true
	})
	failed, rest, ok := m.w.Failed(m.load.key)
	require.True(m.t, ok)
	require.Equal(m.t, want, failed)
	require.Equal(m.t, m.release(), rest)
	for _, c := range failed {
		m.end(c, "failed")
	}
	m.load = nil
}

// restore puts a decoded copy in the place of the workflow.
func (m *model) restore() {
	data, err := json.Marshal(m.w)
	require.NoError(m.t, err)
	var restored flow
	require.NoError(m.t, json.Unmarshal(data, &restored), "%s", data)
	require.Equal(m.t, m.w, restored, "%s", data)
	m.w = restored
}

func (m *model) check(t *rapid.T) {
	require.Equal(t, m.out(), m.w.Released())
	require.Equal(t, len(m.line)-m.out(), m.w.Waiting())
	require.Len(t, m.onWay, m.out(), "whoever is out is on its way")
	want := workflow.Idle
	switch {
	case m.load != nil:
		want = workflow.Loading
	case m.data != nil:
		want = workflow.Ready
	}
	require.Equal(t, want, m.w.Phase(), "phase is %v, want %v", m.w.Phase(), want)
	for was, kept := range m.kept {
		require.Equal(t, was, jsonOf(t, kept), "a copy that was kept")
	}
}

// finish lets all loads succeed until nobody waits.
func (m *model) finish() {
	for round := 0; len(m.line) > 0; round++ {
		require.Less(m.t, round, 10_000, "commands wait for ever")
		switch {
		case m.out() > 0:
			i := slices.IndexFunc(m.line, func(a accepted) bool { return a.out })
			m.again(slices.IndexFunc(m.onWay, func(c order) bool { return c.ID == m.line[i].ID }))
		case m.load != nil:
			m.loaded()
		default:
			m.t.Fatal("a command waits, and no load is under way")
		}
		m.check(m.t)
	}
	require.Len(m.t, m.ended, m.nextID, "every command has ended")
}

func (m *model) again(i int) {
	c := m.onWay[i]
	m.onWay = slices.Delete(m.onWay, i, i+1)
	m.admit(c, true)
}

func TestModel(t *testing.T) {
	t.Parallel()
	keys := rapid.SampledFrom([]string{"A", "B", "C"})
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			t: t,
			policy: workflow.Policy{
				MaxWaiting: rapid.IntRange(1, 12).Draw(t, "max waiting"),
				Freshness:  rapid.SampledFrom([]workflow.Freshness{workflow.EveryCommand, workflow.UntilInvalidated, workflow.TTL(time.Minute)}).Draw(t, "freshness"),
			},
			now:     noon,
			ended:   map[string]string{},
			changed: map[string]int{},
			kept:    map[string]flow{},
		}
		newCommand := func(t *rapid.T) {
			c := cmd(keys.Draw(t, "key") + strconv.Itoa(m.nextID))
			m.nextID++
			m.admit(c, false)
		}
		inOrder := func(t *rapid.T) {
			if len(m.onWay) == 0 {
				t.Skip("nobody is on its way")
			}
			m.again(0)
		}
		loaded := func(t *rapid.T) {
			if m.load == nil {
				t.Skip("no load")
			}
			m.loaded()
		}
		t.Repeat(map[string]func(*rapid.T){
			"":            m.check,
			"new command": newCommand, "another new command": newCommand,
			"again": inOrder, "again 2": inOrder, "again 3": inOrder,
			"loaded": loaded, "loaded 2": loaded,
			"again, out of order": func(t *rapid.T) {
				if len(m.onWay) == 0 {
					t.Skip("nobody is on its way")
				}
				m.again(rapid.IntRange(0, len(m.onWay)-1).Draw(t, "which"))
			},
			"failed": func(t *rapid.T) {
				if m.load == nil {
					t.Skip("no load")
				}
				m.failed()
			},
			"answer to another load": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				if m.load != nil && m.load.key == key {
					t.Skip("the right one")
				}
				before := m.w
				_, ok := m.w.Loaded(key, m.now, m.policy)
				require.False(t, ok)
				_, _, ok = m.w.Failed(key)
				require.False(t, ok)
				require.Equal(t, before, m.w)
			},
			"invalidate": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				m.w.Invalidate(key)
				m.changed[key] = m.tick()
				if m.load != nil && m.load.key == key {
					m.load.outdated = true
				}
				if m.data != nil && m.data.key == key {
					m.data = nil
				}
			},
			"remove": func(t *rapid.T) {
				ids := rapid.SliceOfN(rapid.IntRange(0, max(0, m.nextID-1)), 1, 3).Draw(t, "ids")
				match := func(c order) bool {
					id, err := strconv.Atoi(c.ID[1:])
					require.NoError(t, err)
					return slices.Contains(ids, id)
				}
				var want []order
				m.line = slices.DeleteFunc(m.line, func(a accepted) bool {
					if match(a.order) {
						want = append(want, a.order)
					}
					return match(a.order)
				})
				m.onWay = slices.DeleteFunc(m.onWay, match)
				require.Equal(t, want, m.w.Remove(match))
				for _, c := range want {
					m.end(c, "removed")
				}
			},
			"time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "seconds")) * time.Second)
			},
			"lower or raise the bound": func(t *rapid.T) {
				m.policy.MaxWaiting = rapid.IntRange(1, 12).Draw(t, "max waiting")
			},
			"save and restore": func(*rapid.T) { m.restore() },
			"crash": func(t *rapid.T) {
				m.restore()
				m.onWay, m.load = nil, nil
				for i := range m.line {
					m.line[i].out = false
				}
				key, load := m.w.Restart()
				require.Equal(t, len(m.line) > 0, load)
				if load {
					require.Equal(t, keyOf(m.line[0].order), key)
					m.load, m.data = &fetch{key: key, since: m.tick()}, nil
				}
			},
			"keep a copy": func(t *rapid.T) { m.kept[jsonOf(t, m.w)] = m.w },
			"change a copy": func(t *rapid.T) {
				other := m.w
				if key, ok := other.Key(); ok {
					other.Loaded(key, m.now, m.policy)
				}
				for _, c := range m.onWay {
					_, _ = other.Admit(keyOf(c), c, m.now, m.policy)
				}
				for range 3 {
					_, _ = other.Admit("X", cmd("X"), m.now, workflow.Policy{MaxWaiting: 100})
				}
				other.Remove(func(c order) bool { return len(c.ID)%2 == 0 })
			},
			"go on with a clone": func(t *rapid.T) {
				clone := m.w.Clone()
				require.Equal(t, m.w, clone)
				m.w = clone
			},
		})
		m.finish()
	})
}
