package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/internal/journal"
	"github.com/seed57833328/rondo/reducer"
)

// Journal writes down what stores reduce: a line of JSON for each action, with
// its time, cause and metadata, the effects that were returned and a hash of the
// state that was left. testkit.Replay runs it through a reducer again: a journal
// of production is a regression test.
//
//	file, err := os.Create("orders.jsonl")
//	…
//	st, err := store.New(State{}, Reducer{}, store.Config{
//		Journal: store.NewJournal(file, store.JournalConfig{}),
//	})
//
// One Journal may be given to many stores. Each line is one Write, made in the
// store's turn before the effects of the step start, so it is there when the
// process is killed. To write less often hand it a bufio.Writer: what is in it
// is flushed by Flush and by each Shutdown, and lost when the process is killed.
//
// State and actions must survive JSON. A line that does not says so, and Replay
// then refuses the journal with that reason. Fields of type error of an action
// are kept as texts.
//
// A journal that cannot be written does not stop a store: see Err.
type Journal struct {
	cfg JournalConfig

	mu      sync.Mutex
	w       io.Writer
	written int64
	lost    int64
	full    bool
	err     error
}

// JournalConfig is what may be said about a [Journal]. The zero value works.
type JournalConfig struct {
	// States writes the whole state after each action, so that Replay can show
	// what differs in it. Without it there is a hash.
	States bool
	// MaxBytes bounds the journal: a last line says that it ends there. 0 is no
	// bound, negative values are refused.
	MaxBytes int64
	// Redact is given each action, and each state that a store begins with, and
	// returns what is written in its place, of the same type: a card number
	// taken out, a name replaced by another. Since other actions make other
	// states, the journal then keeps a second state of each store, reduced with
	// what was written: every step is taken twice, and the journal is true in
	// itself. Nothing of the first state is written.
	Redact func(value any) any
	// RedactMeta returns what is written in the place of the metadata.
	RedactMeta func(reducer.Meta) reducer.Meta
}

// NewJournal makes a journal that writes to w.
func NewJournal(w io.Writer, cfg JournalConfig) *Journal { return &Journal{cfg: cfg, w: w} }

// Err is why the journal could not be written, nil if it could. After an error
// nothing more is written.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Lost is how many lines were not written, because of an error or the bound.
func (j *Journal) Lost() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lost
}

// Flush hands on what the writer has buffered, if it has a method Flush.
func (j *Journal) Flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if f, ok := j.w.(interface{ Flush() error }); ok && j.err == nil {
		j.err = f.Flush()
	}
	return j.err
}

func (j *Journal) validate() error {
	if j.w == nil {
		return errors.New("Config.Journal: the writer is nil")
	}
	if j.cfg.MaxBytes < 0 {
		return fmt.Errorf("JournalConfig.MaxBytes is %d, must not be negative", j.cfg.MaxBytes)
	}
	return nil
}

// endRoom is kept below the bound for the line that says that it was met.
const endRoom = 128

func (j *Journal) write(l *journal.Line) {
	data, err := l.Append(nil)
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case err != nil:
		j.err = errors.Join(j.err, err)
	case j.err != nil || j.full:
	case j.cfg.MaxBytes > 0 && j.written+int64(len(data)) > j.cfg.MaxBytes-endRoom:
		j.full = true
		end := journal.Line{Cut: fmt.Sprintf("the journal is bounded to %d bytes", j.cfg.MaxBytes)}
		if data, err := end.Append(nil); err == nil {
			_, j.err = j.w.Write(data)
		}
	default:
		if _, j.err = j.w.Write(data); j.err == nil {
			j.written += int64(len(data))
			return
		}
	}
	j.lost++
}

// scribe writes down the steps of one store.
type scribe[S, A any] struct {
	j      *Journal
	r      reducer.Reducer[S, A]
	states *fingerprint.Type[S]
	name   string
	key    string
	twin   *S // what is redacted makes of the state
}

// newScribe begins the journal of a store, or of one life of a keyed one.
func newScribe[S, A any](h *host[S, A], key any, initial *S) *scribe[S, A] {
	s := &scribe[S, A]{j: h.config.Journal, r: h.engine.Reducer, states: h.hash, name: h.config.Name}
	if key != nil {
		s.key = fmt.Sprint(key)
	}
	l := journal.Line{Journal: journal.Format, Store: s.name, Key: s.key, Type: journal.TypeName(*initial)}
	state := any(*initial)
	if redact := s.j.cfg.Redact; redact != nil {
		state = redact(state)
		if _, ok := state.(S); !ok {
			l.Lossy = fmt.Sprintf("JournalConfig.Redact made a %T of a %T", state, *initial)
			state = *new(S)
		}
	}
	data, _, lossy := journal.Encode(state)
	if l.Lossy == "" {
		l.Lossy = lossy
	}
	l.State, l.StateHash = data, journal.HashOf(state)
	if s.j.cfg.Redact != nil {
		s.twin = new(S)
		if err := json.Unmarshal(data, s.twin); err != nil && l.Lossy == "" {
			l.Lossy = err.Error()
		}
	}
	s.j.write(&l)
	return s
}

// step writes down an action that has been reduced.
func (s *scribe[S, A]) step(e *engine.Engine[S, A], step *engine.Step[A]) {
	l, action := s.line(e, step.Action, step.Seq, step.Cause)
	if s.twin != nil {
		s.redacted(&l, action)
	} else {
		_, l.IDs = e.Moment()
		l.Effects, l.EffectsHash = journal.Effects(step.Effect)
		s.state(&l, &e.State)
	}
	s.j.write(&l)
}

// panicked writes down an action that was not.
func (s *scribe[S, A]) panicked(e *engine.Engine[S, A], action A, cause engine.Cause, value any) {
	l, _ := s.line(e, action, e.Seq(), cause)
	l.Panic = fmt.Sprint(value)
	if s.twin != nil {
		l.Panic = "redacted"
	}
	s.j.write(&l)
}

func (s *scribe[S, A]) line(e *engine.Engine[S, A], action A, seq uint64, cause engine.Cause) (journal.Line, A) {
	l := journal.Line{
		Store: s.name, Key: s.key, Seq: seq, Parent: cause.Parent, Root: cause.Root, Meta: e.Meta(seq, cause),
	}
	now, _ := e.Moment()
	l.Time = now.UTC()
	if f := s.j.cfg.RedactMeta; f != nil {
		l.Meta = f(l.Meta)
	}
	if f := s.j.cfg.Redact; f != nil {
		redacted, ok := f(action).(A)
		if !ok {
			l.Lossy = fmt.Sprintf("JournalConfig.Redact made something else of a %T", action)
		}
		action = redacted
	}
	l.Type = journal.TypeName(action)
	var lossy string
	l.Action, l.Errors, lossy = journal.Encode(action)
	if l.Lossy == "" {
		l.Lossy = lossy
	}
	return l, action
}

// redacted takes the step with what is written.
func (s *scribe[S, A]) redacted(l *journal.Line, action A) {
	defer func() {
		if recover() != nil {
			l.Panic = "redacted"
		}
	}()
	src := &written{l: l}
	made := s.r.Reduce(s.twin, action, reducer.NewEnv(src))
	l.IDs = src.drawn
	l.Effects, l.EffectsHash = journal.Effects(made)
	s.state(l, s.twin)
}

func (s *scribe[S, A]) state(l *journal.Line, state *S) {
	if s.j.cfg.States {
		l.State, _, _ = journal.Encode(*state)
	}
	func() {
		defer func() { _ = recover() }() // an interface in it holds something unhashable
		l.StateHash = journal.Hash(max(1, s.states.Hash(state)))
	}()
}

// written is a line as what a reducer's Env reads.
type written struct {
	l     *journal.Line
	drawn uint64
}

func (w *written) Now() time.Time     { return w.l.Time }
func (w *written) Meta() reducer.Meta { return w.l.Meta }

func (w *written) NewID() uuid.UUID {
	w.drawn++
	return reducer.DeriveID(w.l.Meta.ActionID, w.drawn)
}
