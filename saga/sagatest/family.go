package sagatest

import (
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/internal/rehearsal"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/testkit"
)

// core is what a View is made of: the saga, and its children in the order in which
// they were started. What is in it is never changed. Reports tell of the rest alone.
type core struct{ family []member }

// member is a saga of a family.
type member struct {
	id      string
	machine rehearsal.Machine
	view    saga.Snapshot
	due     time.Time // of the timer that runs
	// mail are the messages that wait for it, in their order. The first is being
	// carried to it if carried is set.
	mail    []rehearsal.Post
	carried bool
}

// Equal has reports leave out what they tell by the other fields.
func (core) Equal(core) bool { return true }

// Hash tells cores apart by what their records keep, and by what is in the mail.
func (c core) Hash() uint64 {
	var b []byte
	add := func(parts ...string) {
		for _, part := range parts {
			b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
			b = append(b, part...)
		}
	}
	for i := range c.family {
		m := &c.family[i]
		b = binary.BigEndian.AppendUint64(b, uint64(m.view.Sequence)) //nolint:gosec // its bits
		b = binary.BigEndian.AppendUint64(b, uint64(len(m.mail)))
		add(m.id, string(m.view.Status), m.view.Reason, string(m.view.Record.State), string(m.view.Work))
		for j := range m.mail {
			add(m.mail[j].ID, string(m.mail[j].Body))
		}
	}
	return fingerprint.String(string(b))
}

// find is the member of that id, nil if there is none.
func (c *core) find(id string) *member {
	if i := slices.IndexFunc(c.family, func(m member) bool { return m.id == id }); i >= 0 {
		return &c.family[i]
	}
	return nil
}

// takes tells whether messages come through to a member.
func (m *member) takes() bool {
	return len(m.mail) > 0 && m.view.Status != saga.Stuck && m.view.Status != saga.Paused
}

// post puts a message into the mail, unless it waits there.
func (c *core) post(p rehearsal.Post) {
	m := c.find(p.To)
	if m == nil {
		if p.Child == nil {
			return // the parent is gone, as it never is here
		}
		c.family = append(c.family, member{id: p.To, machine: p.Child, view: snapshotOf(p.Child)})
		m = &c.family[len(c.family)-1]
	}
	p.Child = nil
	if !slices.ContainsFunc(m.mail, func(other rehearsal.Post) bool { return other.ID == p.ID }) {
		m.mail = append(slices.Clip(m.mail), p)
	}
}

// carry has messages carried to whom they wait for and who takes them.
func (c *core) carry(all []effect.Effect[Event]) []effect.Effect[Event] {
	for i := range c.family {
		if m := &c.family[i]; m.takes() && !m.carried {
			m.carried = true
			all = append(all, carryTo(m.id, i == 0))
		}
	}
	return all
}

// carry has the first message of a member come to it, at whatever moment.
type carry struct{ To string }

// Returns names the result.
func (carry) Returns(struct{}) {}

// carrier does so. The message is in the mail until it is taken, so it may get lost
// on the way.
func carrier[W any]() testkit.Answer {
	return testkit.On(func(*W, carry) (struct{}, error) { return struct{}{}, nil }, testkit.ReadOnly(), testkit.Commutes())
}

// requestsOf gathers the requests of a saga and of its children, and tells whether
// it has any.
func requestsOf(m rehearsal.Machine, child string, all map[string]reflect.Type, seen map[string]bool) (children bool) {
	_, requests := m.Types()
	for name, t := range requests {
		name = strconv.Quote(name)
		if child != "" {
			name += " of child " + strconv.Quote(child)
		}
		all[name] = t
	}
	kin := m.Kin()
	for name, k := range kin {
		if !seen[name] {
			seen[name] = true
			requestsOf(k, name, all, seen)
		}
	}
	return len(kin) > 0
}

func carryTo(id string, first bool) effect.Effect[Event] {
	return effect.Do(carry{id}, func(r effect.Result[struct{}]) Event {
		e := Event{kind: rehearsal.Mail}
		if !first {
			e.to = id
		}
		if errors.Is(r.Err, testkit.ErrLost) {
			e.err = r.Err
		}
		return e
	})
}
