// Package participant has the handlers of sagas give commands: to aggregates of
// their own process, or through a command bus to whatever process carries them
// out.
//
//	seats := participant.Of(sections) // a host of package aggregate
//
//	effect.Handle(func(ctx context.Context, q HoldSeats) (struct{}, error) {
//		_, err := seats.Execute(ctx, q.Section, Hold{participant.Subject(ctx), q.Seats})
//		return struct{}{}, err
//	})
//
// # Keys
//
// The idempotency key of a command is that of the effect ([saga.EffectID]): it is
// done once, however often the effect is tried and in whatever process, and a
// repetition gets what the first has come to. The host must keep keys for longer
// than a saga may go on trying (aggregate.Config.KeepKeys). Commands are marked as
// those of a process manager: an aggregate makes no feedback of its state, a bus
// records them with the label "saga". Their correlation, causation and tenant are
// the saga's.
//
// # Errors
//
// A rejection is final for its key, so it comes to the reducer as one of the saga
// ([saga.Rejected]): nothing was done, and there is nothing to undo. What cannot
// be mended by another attempt is marked as permanent. The rest is tried again.
//
// # Undo
//
// An undo may come before what it undoes, and instead of it. [Subject] is the same
// for both: an aggregate that keeps what it has done under the subject, and what
// was undone, can refuse what comes later.
//
// # Concurrency
//
// All functions may be called from any goroutine.
package participant
