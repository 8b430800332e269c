package workflow

import "time"

// Workflow says of each command whether to load its data, to wait or to process
// it, and keeps the commands that wait. K is the key of the data a command
// needs, C the command. The zero value is Idle and ready to use.
//
// A key must equal itself, which a floating-point NaN does not. To be saved as
// JSON, K and C should be concrete types that survive being encoded and
// decoded; an interface type loses the type of what it holds.
//
// See the package documentation for what may be called at once.
type Workflow[K comparable, C any] struct {
	phase       Phase
	invalidated bool // Loading: what is on its way may be out of date
	key         K    // Loading, Ready
	loadedAt    time.Time

	// The commands that have a place. Unless Loading, all are released.
	line line[K, C]
}

// Phase returns where the workflow stands.
func (w Workflow[K, C]) Phase() Phase { return w.phase }

// Key returns the key that is being loaded or whose data is here. It reports
// false when Idle.
func (w Workflow[K, C]) Key() (K, bool) { return w.key, w.phase != Idle }

// LoadedAt returns when the data that is here was loaded, in UTC. It reports
// false unless Ready.
func (w Workflow[K, C]) LoadedAt() (time.Time, bool) { return w.loadedAt, w.phase == Ready }

// Waiting returns how many commands wait for a load. It is 0 unless Loading.
func (w Workflow[K, C]) Waiting() int { return w.line.len() - w.line.countReleased() }

// Released returns how many commands were handed out by [Workflow.Loaded] or
// [Workflow.Failed] and have not been admitted again. They keep their places.
func (w Workflow[K, C]) Released() int { return w.line.countReleased() }

// Clone returns a copy that shares no memory with w. An assignment is as
// independent; Clone exists for those who check that. Keys and commands are
// copied by assignment, so what they point to stays shared.
func (w Workflow[K, C]) Clone() Workflow[K, C] {
	w.line = w.line.clone()
	return w
}

// Admit says what to do with a command that needs the data of key, now being
// the time of the step. It is called for a new command and again for each that
// [Workflow.Loaded] or [Workflow.Failed] handed out.
//
//   - [Process]: the data of key is here, it may be used, and no command that
//     came earlier is left. The workflow is done with the command.
//   - [Load]: the command waits. The caller starts loading key and answers with
//     Loaded or Failed, whatever happens.
//   - [Wait]: the command waits for the load that is under way, or behind the
//     commands that do.
//
// A new command that would be one too many is refused with a [*FullError]. A
// policy that is not valid is refused with the error of [Policy.Validate]. In
// both cases nothing has changed, and the Step is 0.
func (w *Workflow[K, C]) Admit(key K, command C, now time.Time, p Policy) (Step, error) {
	if err := p.Validate(); err != nil {
		return 0, err
	}
	here := w.phase == Ready && w.key == key
	if here && w.line.len() == 0 && p.Freshness.keeps(w.loadedAt, now) {
		return Process, nil
	}
	switch at := w.line.find(key, command); {
	case at == 0 && here:
		// It waited for this very load: while Ready, no command takes a place.
		w.line.cutFirst()
		if p.Freshness == EveryCommand {
			w.endShare()
		}
		return Process, nil
	case at >= 0:
		w.line.takeBack(at)
	case w.line.len() >= p.limit():
		return 0, &FullError{Key: key, Waiting: w.line.len(), Released: w.Released(), Limit: p.limit()}
	default:
		w.line.add(key, command)
	}
	if w.phase == Loading {
		return Wait, nil
	}
	w.load(key)
	return Load, nil
}

// Loaded says that the data of key has arrived, and hands out the commands that
// waited, in the order of their arrival. The caller keeps the data and admits
// each command again, in that order and unchanged.
//
// It reports false, and changes nothing, unless that very key is being loaded:
// the caller then drops the data.
//
// Afterwards the workflow is Ready, or Idle if the data may not be used: when
// it was invalidated on its way, or when the policy is [EveryCommand] and no
// command at the front waits for key.
func (w *Workflow[K, C]) Loaded(key K, now time.Time, p Policy) (waiting []C, ok bool) {
	if w.phase != Loading || w.key != key {
		return nil, false
	}
	waiting = w.line.releaseAll()
	if w.invalidated {
		w.idle()
		return waiting, true
	}
	w.phase = Ready
	// UTC drops the monotonic reading too: neither survives being saved.
	w.loadedAt = now.UTC()
	if p.Freshness == EveryCommand {
		w.endShare()
	}
	return waiting, true
}

// Failed says that the data of key could not be loaded, or that the caller has
// given up loading it. It hands out the waiting commands, each list in the order
// of arrival: failed, those that needed key, which are over for the workflow;
// and rest, those of other keys, which the caller admits again, in that order
// and unchanged.
//
// It reports false, and changes nothing, unless that very key is being loaded.
// Afterwards the workflow is Idle.
func (w *Workflow[K, C]) Failed(key K) (failed, rest []C, ok bool) {
	if w.phase != Loading || w.key != key {
		return nil, nil, false
	}
	failed = w.line.remove(func(p *place[K, C], released bool) bool { return !released && p.key == key })
	rest = w.line.releaseAll()
	w.idle()
	return failed, rest, true
}

// Invalidate says that the data of key is out of date. If it is here, the
// workflow becomes Idle. If it is on its way, it may be out of date as well:
// Loaded hands out the waiting commands as usual, but the first one loads again.
// Otherwise nothing changes.
func (w *Workflow[K, C]) Invalidate(key K) {
	if w.key != key {
		return
	}
	if w.phase == Loading {
		w.invalidated = true
		return
	}
	w.idle()
}

// Remove drops the commands that match, waiting or handed out, and returns them
// in the order of arrival.
//
// A load that is under way goes on, even if no command waits for it any more:
// its answer is due, and a command that comes meanwhile can use it. A caller
// that cancels the load's effect, so that there will be no answer, calls
// [Workflow.Failed] after Remove. A removed command that was handed out and is
// admitted all the same counts as a new one.
func (w *Workflow[K, C]) Remove(match func(C) bool) []C {
	return w.line.remove(func(p *place[K, C], _ bool) bool { return match(p.command) })
}

// Restart is for a workflow that was saved and is restored without its effects:
// the load under way is lost, and so are the actions that carried handed-out
// commands. It takes those commands back to their places and returns the key
// that the caller loads now, that of the command that came first. It reports
// false if no command waits; then there is nothing to load.
//
// If effects and actions are restored too, Restart must not be called: commands
// would come twice. If Ready data is not restored with the state, Invalidate its
// key before.
func (w *Workflow[K, C]) Restart() (key K, load bool) {
	if w.line.len() == 0 {
		if w.phase == Loading {
			w.idle()
		}
		return key, false
	}
	w.line.takeBackAll()
	w.load(w.line.places[0].key)
	return w.key, true
}

func (w *Workflow[K, C]) idle() {
	*w = Workflow[K, C]{line: w.line}
}

func (w *Workflow[K, C]) load(key K) {
	*w = Workflow[K, C]{phase: Loading, key: key, line: w.line}
}

// endShare makes the workflow Idle if the next command in line is not one that
// shares the data.
func (w *Workflow[K, C]) endShare() {
	if !w.line.startsWith(w.key) {
		w.idle()
	}
}
