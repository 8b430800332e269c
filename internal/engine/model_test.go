package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed57833328/rondo/effect"
)

// This is the engine said again in the plainest way, to compare it with. Effects
// are plans; a step makes nodes of its plan, all at once and for good; what holds
// is found by looking at every node there ever was. Nothing is counted, linked
// or indexed.

// plan is an effect as data.
type plan struct {
	kind     string // none, all, seq, scope, prune, send, call, fire, stream, mute, after, cancel, hold, resume
	name     string // unique
	key      string // "" is none
	policy   effect.Policy
	attempts int // 0 is no retry
	wait     time.Duration
	timeout  time.Duration
	child    int   // of a scope
	present  []int // of a prune
	kids     []*plan
}

func (p *plan) String() string {
	s := p.kind
	if p.name != "" {
		s += " " + p.name
	}
	if p.key != "" {
		s += " key=" + p.key
	}
	if p.policy != effect.Every {
		s += " " + p.policy.String()
	}
	if p.attempts > 0 {
		s += fmt.Sprint(" attempts=", p.attempts)
	}
	if p.wait > 0 {
		s += fmt.Sprint(" wait=", p.wait)
	}
	if p.timeout > 0 {
		s += fmt.Sprint(" timeout=", p.timeout)
	}
	switch p.kind {
	case "scope":
		s += fmt.Sprint(" ", p.child)
	case "prune":
		s += fmt.Sprint(" ", p.present)
	}
	if len(p.kids) > 0 {
		kids := []string{}
		for _, kid := range p.kids {
			kids = append(kids, kid.String())
		}
		s += "(" + strings.Join(kids, ", ") + ")"
	}
	return s
}

func (p *plan) isCall() bool {
	return p.kind == "call" || p.kind == "fire" || p.kind == "stream" || p.kind == "mute"
}

// effect is the plan as the engine is given it.
func (p *plan) effect() fxOf {
	var key any
	if p.key != "" {
		key = p.key
	}
	opts := []effect.Option{}
	if key != nil {
		opts = append(opts, effect.Key(key, p.policy))
	}
	if p.attempts > 0 {
		opts = append(opts, effect.Retry(effect.RetryPolicy{Attempts: p.attempts, Delay: p.wait, Factor: 1}))
	}
	if p.timeout > 0 {
		opts = append(opts, effect.Timeout(p.timeout))
	}
	kids := []fxOf{}
	for _, kid := range p.kids {
		kids = append(kids, kid.effect())
	}
	then := func(r effect.Result[int]) string {
		if r.Err == nil && r.Value > 0 {
			return fmt.Sprint(p.name, " value ", r.Value)
		}
		return p.name
	}
	switch p.kind {
	case "all":
		return fx.All(kids...)
	case "seq":
		return fx.Sequence(kids...)
	case "scope":
		return scope("child", p.child, kids[0])
	case "prune":
		present := []any{}
		for _, child := range p.present {
			present = append(present, child)
		}
		return prune("child", present...)
	case "send":
		return fx.Send(p.name)
	case "call":
		return effect.Do(ask{p.name}, then, opts...)
	case "fire":
		return effect.Fire[string](ask{p.name}, opts...)
	case "stream":
		return effect.Stream(ask{p.name}, then, opts...)
	case "mute":
		return effect.Stream[ask, int, string](ask{p.name}, nil, opts...)
	case "after":
		return fx.After(key, p.wait, p.name)
	case "cancel":
		return fx.Cancel(key)
	case "hold":
		return fx.Hold(key)
	case "resume":
		return fx.Resume(key, p.name)
	}
	return fx.None()
}

// node is a plan that a step has returned.
type node struct {
	*plan
	parent  *node
	kids    []*node
	scope   string // path of the innermost scope around it, its own included
	track   int
	step    int // that returned it
	started bool
	void    bool // cancelled before it started
	settled bool // of a leaf
	state   string
	attempt int
	due     time.Time
	order   int // of setting due
}

func (n *node) fullKey() string {
	if n.key == "" {
		return ""
	}
	return n.scope + n.key
}

// over tells whether all below n has settled.
func (n *node) over() bool {
	if len(n.kids) == 0 {
		return n.settled
	}
	for _, kid := range n.kids {
		if !kid.over() {
			return false
		}
	}
	return true
}

func (n *node) walk(f func(*node)) {
	f(n)
	for _, kid := range n.kids {
		kid.walk(f)
	}
}

func (n *node) inside(outer *node) bool {
	for ; n != nil; n = n.parent {
		if n == outer {
			return true
		}
	}
	return false
}

// waiting is an action in the queue.
type waiting struct {
	action  string
	track   int
	of      *node // what it is the result of, nil from outside
	resumed *node // the resume that gave it
	value   bool  // of a stream, and not its end
	attempt int
}

// end is a leaf that has ended, or only a key that something left.
type end struct {
	of  *node
	key string
}

type model struct {
	now    time.Time
	queue  []waiting
	roots  []*node
	active []*node // leaves that have started, in that order, ended ones too
	ended  []end   // not yet accounted for
	orders int
	steps  int
	log    []string
}

// in tells of the leaves that are under a key now.
func (m *model) in(key string) (found []*node) {
	if key == "" {
		return nil
	}
	for _, n := range m.active {
		switch n.state {
		case "queued", "running", "backoff", "timing", "held", "delivering":
			if n.fullKey() == key {
				found = append(found, n)
			}
		}
	}
	return found
}

func (m *model) make(p *plan, parent *node, track int) *node {
	n := &node{plan: p, parent: parent, track: track, step: m.steps}
	if parent != nil {
		n.scope = parent.scope
	}
	if p.kind == "scope" {
		n.scope += fmt.Sprint(p.child, "/")
	}
	for _, kid := range p.kids {
		n.kids = append(n.kids, m.make(kid, n, track))
	}
	return n
}

func (m *model) start(n *node) {
	n.started = true
	if len(n.kids) == 0 {
		if n.void {
			n.settled = true
			return
		}
		m.active = append(m.active, n)
	}
	switch n.kind {
	case "seq":
		m.advance(n)
	case "all", "scope":
		for _, kid := range n.kids {
			m.start(kid)
		}
	case "send":
		n.state = "sent"
		m.queue = append(m.queue, waiting{action: n.name, track: n.track, of: n})
	case "after":
		for _, old := range m.in(n.fullKey()) {
			if old.kind == "after" && old != n {
				m.drop(old)
			}
		}
		n.state = "timing"
		m.setDue(n, n.wait)
	case "hold":
		n.state = "held"
	case "resume":
		m.resume(n)
	case "cancel":
		n.settled = true
		m.cancel(n)
	case "prune":
		n.settled = true
		m.prune(n)
	case "call", "fire", "stream", "mute":
		busy := m.in(n.fullKey())
		if len(busy) > 0 {
			switch n.policy {
			case effect.Every:
			case effect.Latest:
				for _, old := range busy {
					m.drop(old)
				}
			case effect.Leading:
				n.settled = true
				return
			case effect.Queue:
				n.state = "queued"
				return
			}
		}
		m.attempt(n)
	default:
		n.settled = true
	}
}

func (m *model) attempt(n *node) {
	n.state = "running"
	n.attempt++
	if n.timeout > 0 {
		m.setDue(n, n.timeout)
	}
	m.say("start %s #%d", n.name, n.attempt)
}

func (m *model) setDue(n *node, d time.Duration) {
	m.orders++
	n.due, n.order = m.now.Add(d), m.orders
}

func (m *model) advance(seq *node) {
	for _, kid := range seq.kids {
		if !kid.started {
			m.start(kid)
		}
		if !kid.over() {
			return
		}
	}
}

func (m *model) drop(n *node) {
	if n.state == "running" {
		m.say("stop %s #%d", n.name, n.attempt)
	}
	m.end(n)
}

func (m *model) end(n *node) {
	key := ""
	if slices.Contains(m.in(n.fullKey()), n) {
		key = n.fullKey()
	}
	n.state, n.due = "ended", time.Time{}
	m.ended = append(m.ended, end{n, key})
}

func (m *model) promote(key string) {
	if in := m.in(key); len(in) > 0 && in[0].state == "queued" {
		m.attempt(in[0])
	}
}

// account lets sequences go on.
func (m *model) account() {
	for len(m.ended) > 0 {
		ended := m.ended[0]
		m.ended = m.ended[1:]
		m.promote(ended.key)
		n := ended.of
		if n == nil {
			continue
		}
		n.settled = true
		for p := n.parent; p != nil; p = p.parent {
			if p.kind == "seq" {
				m.advance(p)
			}
			if !p.over() {
				break
			}
		}
	}
}

func (m *model) cancel(at *node) {
	key := at.fullKey()
	for _, root := range m.roots {
		root.walk(func(seq *node) {
			if seq.kind != "seq" || !seq.started || at.inside(seq) {
				return
			}
			for _, kid := range seq.kids {
				if !kid.started {
					kid.walk(func(n *node) {
						if (n.isCall() || n.kind == "after" || n.kind == "hold") && n.fullKey() == key {
							n.void = true
						}
					})
				}
			}
		})
	}
	for _, n := range m.in(key) {
		m.drop(n)
	}
}

func (m *model) resume(n *node) {
	for _, held := range m.in(n.fullKey()) {
		if held.state != "held" {
			continue
		}
		held.state = "resumed"
		w := waiting{action: n.name, track: held.track, of: held, resumed: n}
		m.queue = append(m.queue, w)
		m.ended = append(m.ended, end{key: n.fullKey()})
		return
	}
	n.state = "sent"
	m.queue = append(m.queue, waiting{action: n.name, track: n.track, of: n})
}

func (m *model) prune(at *node) {
	gone := map[*node]bool{}
	for _, root := range m.roots {
		root.walk(func(s *node) {
			if s.kind == "scope" && s.started && s.parent.scopeOf() == at.scope && !slices.Contains(at.present, s.child) {
				s.walk(func(n *node) {
					if !n.started {
						n.started, n.settled = true, true
					}
					gone[n] = true
				})
			}
		})
	}
	for _, n := range m.active {
		if gone[n] && slices.Contains([]string{"queued", "running", "backoff", "timing", "held", "delivering"}, n.state) {
			m.drop(n)
		}
	}
	m.queue = slices.DeleteFunc(m.queue, func(w waiting) bool {
		if w.of == nil || !gone[w.of] || w.of.state != "sent" && w.of.state != "resumed" {
			return false
		}
		m.end(w.of)
		if w.resumed != nil {
			m.end(w.resumed)
		}
		return true
	})
}

func (n *node) scopeOf() string {
	if n == nil {
		return ""
	}
	return n.scope
}

func (m *model) settle(n *node, err error) {
	n.due = time.Time{}
	isEnd := err == errEnd && (n.kind == "stream" || n.kind == "mute") //nolint:errorlint // io.EOF itself
	failed := err != nil && !isEnd
	if failed && n.attempt < n.attempts && effect.Retryable(err) {
		n.state = "backoff"
		m.setDue(n, n.wait)
		return
	}
	if n.kind == "call" || n.kind == "stream" {
		n.state = "delivering"
		m.queue = append(m.queue, waiting{action: n.name, track: n.track, of: n})
		return
	}
	if failed {
		m.say("fault %s", n.name)
	}
	m.end(n)
	m.account()
}

func (m *model) emit(n *node, value int) {
	if n.kind == "mute" {
		m.say("ack %s #%d", n.name, n.attempt)
		return
	}
	m.queue = append(m.queue, waiting{action: fmt.Sprint(n.name, " value ", value), track: n.track, of: n, value: true, attempt: n.attempt})
}

func (m *model) tick(now time.Time) {
	m.now = now
	for {
		var n *node
		for _, other := range m.active {
			if other.due.IsZero() || other.due.After(now) {
				continue
			}
			if n == nil || other.due.Before(n.due) || other.due.Equal(n.due) && other.order < n.order {
				n = other
			}
		}
		if n == nil {
			return
		}
		n.due = time.Time{}
		switch n.state {
		case "timing":
			n.state = "delivering"
			m.queue = append(m.queue, waiting{action: n.name, track: n.track, of: n})
		case "backoff":
			m.attempt(n)
		case "running":
			m.say("stop %s #%d", n.name, n.attempt)
			m.settle(n, effect.ErrTimeout)
		default:
			panic("due: " + n.state)
		}
	}
}

// candidates are the places in the queue of what may come next.
func (m *model) candidates() (places []int) {
	for i, w := range m.queue {
		if w.of != nil && w.of.state == "ended" {
			continue
		}
		if w.of != nil && w.of.kind == "stream" && slices.ContainsFunc(m.queue[:i], func(o waiting) bool { return o.of == w.of }) {
			continue
		}
		places = append(places, i)
	}
	return places
}

func (m *model) promoteAction(place int) {
	w := m.queue[place]
	m.queue = slices.Insert(slices.Delete(m.queue, place, place+1), 0, w)
}

// next reduces one action; plan is what that causes.
func (m *model) next(returned func() *plan) bool {
	for len(m.queue) > 0 {
		w := m.queue[0]
		m.queue = m.queue[1:]
		n := w.of
		if n != nil && n.state == "ended" {
			continue
		}
		if n != nil && !w.value {
			m.end(n)
		}
		if w.resumed != nil {
			m.end(w.resumed)
		}
		m.say("reduce %s", w.action)
		m.steps++
		root := m.make(returned(), nil, w.track)
		m.roots = append(m.roots, root)
		m.start(root)
		m.account()
		if w.value && n.state == "running" && n.attempt == w.attempt {
			m.say("ack %s #%d", n.name, n.attempt)
		}
		return true
	}
	return false
}

// unfinished tells whether something is left that a track counts.
func (m *model) unfinished(track int) bool {
	for _, w := range m.queue {
		if w.of == nil && w.track == track {
			return true
		}
	}
	for _, n := range m.active {
		if n.track == track && !n.settled {
			return true
		}
	}
	return false
}

func (m *model) say(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

// take returns what was said since the last take, without the starts of what was
// stopped before anybody could hear of it.
func (m *model) take() []string {
	log := m.log
	m.log = nil
	for i := 0; i < len(log); i++ {
		start, found := strings.CutPrefix(log[i], "start ")
		if !found {
			continue
		}
		if j := slices.Index(log, "stop "+start); j > i {
			log = slices.Delete(log, j, j+1)
			log = slices.Delete(log, i, i+1)
			i--
		}
	}
	return log
}
