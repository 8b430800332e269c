package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Operator looks at sagas, and mends them. It needs the store alone, not the
// program that runs them; a [Runner] has one. Whatever it changes is committed as
// a decision is, so that of two operators, or an operator and a worker, the
// second sees what the first has done; and it is recorded in the history. Its
// methods may be called from any goroutine.
type Operator struct {
	store Store
	now   func() time.Time
	known func(name string) error
	kinds map[string]*kind // nil without a program
	most  int              // bytes of a result, 0 if that is not known
}

// NewOperator makes an operator for a store.
func NewOperator(s Store) *Operator {
	return &Operator{store: s, now: time.Now, known: func(string) error { return nil }}
}

// By says who intervenes, and why. Both are required, and stand in the history.
type By struct {
	Actor  string
	Reason string
	// DryRun tells what would be done, and does nothing.
	DryRun bool
}

func (b By) validate() error {
	for _, f := range [...][2]string{{"By.Actor", b.Actor}, {"By.Reason", b.Reason}} {
		if err := checkText(f[0], f[1], maxReason); err != nil {
			return err
		}
	}
	return nil
}

// Intervention is what an operator has done: the saga before and after.
type Intervention struct {
	Before, After Snapshot
	// Done is false for a dry run.
	Done bool
	// Unchecked tells that a value was given to an effect whose type of result is
	// not known here, as to an operator of [NewOperator]: whether it is one is found
	// out by the program that runs the saga, and if it is not, the saga is stuck.
	Unchecked bool
}

// State returns a saga as it is; ErrNotFound if there is none.
func (o *Operator) State(ctx context.Context, id ID) (Snapshot, error) {
	h, err := o.load(ctx, withTenant(ctx, id))
	if err != nil {
		return Snapshot{}, fmt.Errorf("state of saga %q: %w", id, err)
	}
	return snapshot(h), nil
}

func (o *Operator) load(ctx context.Context, id ID) (*head, error) {
	if err := CheckID("id", id); err != nil {
		return nil, err
	}
	if err := o.known(id.Type); err != nil {
		return nil, err
	}
	r, found, err := o.store.Load(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, ErrNotFound
	}
	return loaded(r)
}

// List returns the records that a query asks for, without State and Work.
func (o *Operator) List(ctx context.Context, q Query) ([]Record, error) {
	if q.Tenant == "" && !q.AllTenants {
		q.Tenant = withTenant(ctx, ID{}).Tenant
	}
	records, err := o.store.List(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list sagas: %w", err)
	}
	return records, nil
}

// History returns what was decided after that sequence, at most limit of it.
func (o *Operator) History(ctx context.Context, id ID, after int64, limit int) ([]Entry, error) {
	entries, err := o.store.History(ctx, withTenant(ctx, id), after, limit)
	if err != nil {
		return nil, fmt.Errorf("history of saga %q: %w", id, err)
	}
	return entries, nil
}

// Retry tries again at once what waits for its next attempt, and what a saga is
// stuck at; with ids of effects or undos, these alone. Their attempts are counted
// anew.
func (o *Operator) Retry(ctx context.Context, id ID, by By, effectIDs ...string) (Intervention, error) {
	return o.intervene(ctx, "retry", id, by, func(h *head) error {
		if h.Record.Status.Ended() || h.Record.Status == Paused {
			return refusedIn(h)
		}
		only, err := relative(h, effectIDs)
		if err != nil {
			return err
		}
		h.anew(only)
		h.goOn()
		return nil
	})
}

// Resume lets a saga go on that is paused; one that is stuck goes on without the
// input that it is stuck at, which is dropped.
func (o *Operator) Resume(ctx context.Context, id ID, by By) (Intervention, error) {
	return o.intervene(ctx, "resume", id, by, func(h *head) error {
		switch h.Record.Status {
		case Stuck:
			h.Work.Parked = nil
			h.anew(nil)
		case Paused:
		default:
			return refusedIn(h)
		}
		h.goOn()
		return nil
	})
}

// Pause stops a saga: it decides nothing and begins nothing until Resume. What is
// at work is not waited for, and done again afterwards.
func (o *Operator) Pause(ctx context.Context, id ID, by By) (Intervention, error) {
	return o.intervene(ctx, "pause", id, by, func(h *head) error {
		if !h.works() {
			return refusedIn(h)
		}
		h.Work.Was, h.Record.Status = h.Record.Status, Paused
		return nil
	})
}

// Compensate has a saga undo what was done, whatever it is stuck at.
func (o *Operator) Compensate(ctx context.Context, id ID, by By) (Intervention, error) {
	return o.intervene(ctx, "compensate", id, by, func(h *head) error {
		status := h.Record.Status
		if !h.works() && !status.Ended() {
			status = h.Work.Was
		}
		switch {
		case status != Running:
			return refusedIn(h)
		case h.Work.Pivoted || h.Work.Ending:
			return ErrPivoted
		}
		h.Work.Parked = nil
		h.goOn()
		d := draft{next: h}
		d.compensate(by.Reason)
		return nil
	})
}

// Terminate ends a saga as it is. Nothing is undone: what its snapshot has under
// Pending and Undo is left as it is, for good. Children that have begun go on.
func (o *Operator) Terminate(ctx context.Context, id ID, by By) (Intervention, error) {
	return o.intervene(ctx, "terminate", id, by, func(h *head) error {
		if h.Record.Status.Ended() {
			return refusedIn(h)
		}
		h.Record.Status, h.Record.Reason, h.Work.Parked, h.Work.Results = Terminated, by.Reason, nil, nil
		return nil
	})
}

// MarkUndone takes an undo off the stack that was done by other means.
func (o *Operator) MarkUndone(ctx context.Context, id ID, effectID string, by By) (Intervention, error) {
	return o.intervene(ctx, "mark-undone", id, by, func(h *head) error {
		if h.Record.Status.Ended() {
			return refusedIn(h)
		}
		only, err := relative(h, []string{strings.TrimSuffix(effectID, undoSuffix) + undoSuffix})
		if err != nil {
			return err
		}
		undone, _ := undoOf(only[0])
		h.Work.Undo = remove(h.Work.Undo, undone)
		if h.Record.Status == Stuck && h.Work.Was == Compensating {
			h.goOn()
		}
		return nil
	})
}

// Resolve gives a pending effect its result, in the place of its handler: a value
// that becomes the JSON of the result, or else an error ([Rejected] if nothing
// was done). The saga decides on it next, before anything else. An effect that was
// given up takes a value or a rejection, also when the saga has ended: it goes on
// then, to take it. Of several results for one effect, those of other operators and
// the handler's, the first counts: another is ErrRefused while that waits, and
// ErrNotPending once it was taken.
//
// The operator of a [Runner] knows the types of results: a value that is none of
// the effect's, or larger than [Config].MaxRecord, is an *eventstore.InputError, and
// changes nothing. One of [NewOperator] does not: see [Intervention].
func (o *Operator) Resolve(ctx context.Context, id ID, effectID string, value any, failure error, by By) (Intervention, error) {
	in := input{Kind: replyInput, Actor: by.Actor, Reason: by.Reason}
	if failure != nil {
		in.Failure = (&kind{errors: builtinErrors}).failure(failure)
		in.Failure.Final = true // it is the result, not an attempt
	} else {
		data, err := json.Marshal(value)
		if err != nil {
			return Intervention{}, fmt.Errorf("resolve %q: encode the value: %w", effectID, err)
		}
		if o.most > 0 && len(data) > o.most {
			return Intervention{}, fmt.Errorf("resolve %q: %w", effectID, inputError("value", fmt.Sprintf("%d bytes long", len(data)), "at most %d", o.most))
		}
		in.Value = data
	}
	unchecked := false
	done, err := o.intervene(ctx, "resolve", id, by, func(h *head) error {
		r := &h.Record
		if r.Status == Terminated {
			return refusedIn(h)
		}
		only, err := relative(h, []string{effectID})
		if err != nil {
			return err
		}
		in.Effect = only[0]
		if failure == nil {
			if unchecked, err = o.check(h, &in); err != nil {
				return err
			}
		}
		if slices.ContainsFunc(h.Work.Results, func(r input) bool { return r.Effect == in.Effect }) {
			return fmt.Errorf("%w: a result for %q waits already", ErrRefused, effectID)
		}
		if h.Work.Parked != nil {
			return fmt.Errorf("%w: it is stuck at another input, which is for Retry or Resume", ErrRefused)
		}
		then := *h // as it goes on
		if then.goOn(); !then.answers(&in) {
			return fmt.Errorf("%w: %q does not take this result while the saga is %s", ErrRefused, effectID, r.Status)
		}
		switch r.Status {
		case Stuck:
			h.goOn()
		case Completed:
			r.Status = Running
		case Compensated:
			r.Status = Compensating
		default:
		}
		h.Work.Results = append(h.Work.Results, in)
		return nil
	})
	done.Unchecked = unchecked && err == nil
	return done, err
}

// check compares a value with the result of the request that it answers, if that is
// known.
func (o *Operator) check(h *head, in *input) (unchecked bool, err error) {
	k, request := o.kinds[h.Record.ID.Type], h.Work.request(in.Effect)
	if k == nil || k.requests[request] == nil {
		return true, nil
	}
	if err := k.requests[request].checks(in.Value); err != nil {
		return false, inputError("value", quote(string(in.Value)), "a result of request %q: %v", request, err)
	}
	return false, nil
}

// PauseType stops all sagas of a type: no decision is made and no effect begun
// until ResumeType. Starts are refused with ErrPaused, but for those that another
// worker was asked for before, which wait; signals and cancellations are kept. What
// operators do to one of its sagas is recorded, and nothing comes of it until then;
// [Operator.Workers] tells which types are paused. Workers learn of it
// within a heartbeat.
func (o *Operator) PauseType(ctx context.Context, name string, by By) error {
	return o.setPaused(ctx, "pause", Pause{Type: name, Paused: true}, by)
}

// ResumeType lets a type go on that was paused.
func (o *Operator) ResumeType(ctx context.Context, name string, by By) error {
	return o.setPaused(ctx, "resume", Pause{Type: name}, by)
}

// Drain has a worker give its shards up to others, and take none, until Undrain.
func (o *Operator) Drain(ctx context.Context, worker string, by By) error {
	return o.setPaused(ctx, "drain", Pause{Type: drainName(worker), Worker: worker, Paused: true}, by)
}

// Undrain lets a worker take its share again.
func (o *Operator) Undrain(ctx context.Context, worker string, by By) error {
	return o.setPaused(ctx, "undrain", Pause{Type: drainName(worker), Worker: worker}, by)
}

func (o *Operator) setPaused(ctx context.Context, what string, p Pause, by By) error {
	err := by.validate()
	if err == nil {
		err = CheckPause(p)
	}
	if err == nil && !by.DryRun {
		p.Actor, p.Reason, p.At = by.Actor, by.Reason, Recordable(o.now())
		err = o.store.SetPaused(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("%s saga type %q: %w", what, p.Type, err)
	}
	return nil
}

// PauseLog tells who has paused and resumed types, and drained workers and let them
// go on, when and why: the newest first, at most limit of those with a number below
// before, or of all if that is 0. With a type or a worker it is that one's.
func (o *Operator) PauseLog(ctx context.Context, name, worker string, before int64, limit int) ([]PauseEntry, error) {
	if worker != "" {
		name = drainName(worker)
	}
	entries, err := o.store.PauseLog(ctx, name, before, limit)
	if err != nil {
		return nil, fmt.Errorf("log of pauses: %w", err)
	}
	return entries, nil
}

// maxInterventions bounds how often an intervention is made again because the
// saga has decided meanwhile.
const maxInterventions = 20

// intervene commits what change makes of the head.
func (o *Operator) intervene(ctx context.Context, what string, id ID, by By, change func(*head) error) (Intervention, error) {
	id = withTenant(ctx, id)
	fail := func(err error) (Intervention, error) {
		return Intervention{}, fmt.Errorf("%s saga %q: %w", what, id, err)
	}
	if err := by.validate(); err != nil {
		return fail(err)
	}
	for range maxInterventions {
		h, err := o.load(ctx, id)
		if err != nil {
			return fail(err)
		}
		now := Recordable(o.now())
		next := h.next(now)
		done := Intervention{Before: snapshot(h)}
		if err := change(next); err != nil {
			return fail(err)
		}
		next.seal(now)
		c := o.change(what, next, by, now)
		done.After = snapshot(next)
		if by.DryRun {
			return done, nil
		}
		verdicts, err := o.store.Commit(ctx, []Change{c})
		if err != nil { // was it committed?
			r, found, lost := o.store.Load(ctx, id)
			if lost != nil || !found || r.Commit != c.Record.Commit {
				return fail(err)
			}
		} else if verdicts[0] != Committed {
			continue
		}
		done.Done, done.After.Commit = true, c.Record.Commit
		// Who owns the saga is told, of each change: another of the same id that it
		// has read would stand for this one. If the message is lost, the next sweep
		// finds what there is to do.
		_ = o.store.Post(ctx, Message{To: id, ID: wakeID + "/" + c.Record.Commit.String(), Kind: WakeMessage, At: now})
		return done, nil
	}
	return fail(errors.New("the saga decides all the time: pause it first"))
}

func (o *Operator) change(what string, next *head, by By, now time.Time) Change {
	r := &next.Record
	t := told{
		Input:  &input{Kind: inputKind(what), Actor: by.Actor, Reason: by.Reason},
		Status: r.Status, Reason: r.Reason, State: hashState(r.State),
	}
	c := Change{Record: *r, Entry: Entry{Sequence: r.Sequence, At: now, Kind: what, Data: encodeTold(&t)}, Posts: next.posts}
	c.Record.Commit = commitID(&c)
	return c
}

func refusedIn(h *head) error { return fmt.Errorf("%w: %s", ErrRefused, h.Record.Status) }

// relative are the ids of calls as a record has them. Each must be pending, or
// on the stack, or have been given up.
func relative(h *head, effectIDs []string) ([]string, error) {
	var ids []string
	for _, full := range effectIDs {
		short, ok := strings.CutPrefix(full, h.Record.ID.String()+"/")
		id, undo := undoOf(short)
		w := &h.Work
		switch {
		case ok && undo && indexCall(w.Undo, id) >= 0:
		case ok && !undo && (indexCall(w.Pending, id) >= 0 || indexCall(w.Given, id) >= 0):
		default:
			return nil, fmt.Errorf("%w: %q", ErrNotPending, full)
		}
		ids = append(ids, short)
	}
	return ids, nil
}

// goOn takes up the status before Stuck or Paused.
func (h *head) goOn() {
	if h.works() {
		return
	}
	if h.Record.Status == Stuck {
		h.Record.Reason = h.Work.WasReason
	}
	h.Record.Status, h.Work.Was, h.Work.WasReason, h.Work.Trace = h.Work.Was, "", "", ""
}

// anew has calls tried at once, as if they had not been; all if none is named.
func (h *head) anew(only []string) {
	each := func(calls []call, suffix string) {
		for i := range calls {
			if c := &calls[i]; only == nil || slices.Contains(only, c.ID+suffix) {
				c.Attempts, c.Next, c.Later = 0, time.Time{}, false
			}
		}
	}
	each(h.Work.Pending, "")
	each(h.Work.Undo, undoSuffix)
}
