// Package workflow decides, for a command that needs data, whether the data
// must be loaded first, whether the command has to wait, or whether it can be
// processed now. It is the state machine
//
//	Idle ── Load ──▶ Loading{key, waiting commands} ── Loaded ──▶ Ready{key, loaded at}
//
// as a plain value, to be kept in the state of a reducer. It does no I/O and
// knows no clock: loading is an effect the reducer returns, the time is an
// argument.
//
// # Admitting commands
//
// A state holds one [Workflow] beside the data it guards:
//
//	type State struct {
//		Load    workflow.Workflow[string, ReserveSeats]
//		Section Section
//	}
//
//	var policy = workflow.Policy{MaxWaiting: 100, Freshness: workflow.TTL(time.Minute)}
//
// Every command passes through [Workflow.Admit], with the key of the data that
// it needs:
//
//	case ReserveSeats:
//		switch next, err := s.Load.Admit(a.Section, a, env.Now(), policy); {
//		case err != nil:
//			return reject(a, err)
//		case next == workflow.Load: // it waits, and its data has to be loaded
//			return fx.All(fx.Hold(a.ID), effect.Do(LoadSection{a.Section}, onLoaded))
//		case next == workflow.Wait: // it waits behind others
//			return fx.Hold(a.ID)
//		}
//		return r.reserve(s, a, env) // workflow.Process: s.Section is the one it needs
//
// One key is loaded at a time. A command that comes meanwhile, for whatever
// key, waits behind those that came before it.
//
// # When the data is here
//
// [Workflow.Loaded] hands out the commands that waited. The reducer sends each
// again, in order and unchanged, and each is admitted again:
//
//	case SectionLoaded:
//		waiting, ok := s.Load.Loaded(a.Key, env.Now(), policy)
//		if !ok {
//			return fx.None() // not the load that is waited for
//		}
//		s.Section = a.Data
//		return resume(waiting)
//
//	func resume(commands []ReserveSeats) effect.Effect[Action] {
//		again := make([]effect.Effect[Action], len(commands))
//		for i, c := range commands {
//			again[i] = fx.Resume(c.ID, c)
//		}
//		return fx.All(again...)
//	}
//
// Those at the front that need the key just loaded are processed. The first one
// that needs another key gets Load, and the ones behind it wait again: commands
// are processed strictly in the order in which they arrived, each with data of
// its own key.
//
// # When loading fails
//
// [Workflow.Failed] hands out the commands that needed the key, which have
// failed with it, and the others, which are sent again:
//
//	case LoadFailed:
//		failed, rest, ok := s.Load.Failed(a.Key)
//		if !ok {
//			return fx.None()
//		}
//		return fx.All(rejectAll(failed, a.Err), resume(rest))
//
// A reducer that gives up a load, by cancelling its effect, calls Failed too:
// the answer will never come.
//
// # Freshness
//
// [Policy] says how long loaded data may be used. With [EveryCommand], the
// default, never beyond the commands that waited for it: each later command
// loads anew. With [TTL] data serves later commands until it has reached an
// age, and with [UntilInvalidated] until [Workflow.Invalidate]:
//
//	case PricesChanged:
//		s.Load.Invalidate(a.Section)
//
// An invalidation during a load counts against the data on its way: it is
// loaded once more before a command is processed with it. Data that is
// invalidated faster than it loads is therefore never used; for such data
// choose another policy.
//
// Whatever the policy, the commands that waited for a load may use it, however
// late they are admitted again. Otherwise a time to live shorter than that
// would have them load for ever.
//
// # Nothing accepted is lost
//
// A command keeps its place from the moment it is accepted until it is
// processed, failed or removed, including the time between being handed out
// and being admitted again. The bound, [Policy.MaxWaiting], counts these places,
// and only a new command can be refused, with a [*FullError] and no change. A
// command that was handed out never is. This is also why a new command does not
// overtake one that was handed out, nor take its share of the data: it loads
// and waits, and the other one goes back to its place in front.
//
// A command that comes again is known by its key and by being deeply equal, as
// in [reflect.DeepEqual], to one that was handed out. So it has to be sent
// again unchanged, and commands of different callers should differ, by an ID
// for instance: of two that are equal in all fields, either may be taken for
// the other. A command that does not equal itself, because it holds a func or a
// NaN, is known by its key alone.
//
// Every command handed out must be admitted again, even if that happens at once
// in a loop; one that is not keeps its place, as [Workflow.Released] and
// [FullError.Released] show.
//
// When the caller of a waiting command has left, [Workflow.Remove] gives up the
// command's place.
//
// # Saving and restoring
//
// A Workflow is saved as JSON with the state it is part of:
//
//	{"phase":"loading","key":"A","pending":[{"key":"A","command":{"id":"r1","section":"A"}}]}
//
// Restored in a new process, it still waits for a load that ended with the old
// one. If effects are not restored along with the state, call
// [Workflow.Restart] once, before the first command, and load the key it names:
//
//	case Restarted:
//		if key, ok := s.Load.Restart(); ok {
//			return effect.Do(LoadSection{key}, onLoaded)
//		}
//
// # Concurrency
//
// A Workflow is a value. One value must not be used by several goroutines at
// once while one of them changes it. A copy made by assignment is independent
// of its original, in another goroutine too: a reducer may be tried on a copy of
// the state, and an observer may keep one.
//
// A command that is processed at once costs no allocation; one that waits copies
// the line of those that do, which MaxWaiting bounds.
package workflow
