// Package effect describes work as values. A reducer returns an [Effect], which
// says what is to be asked, sent, timed or cancelled; a store does it and reduces
// the actions that come of it. Because an effect is data, a test reads it without
// running anything, a log prints it, and a driver may answer it in any order.
//
// # Requests
//
// What is asked of the world is a [Request]: a plain value whose type names its
// result.
//
//	type LoadSection struct{ Event, Section string }
//
//	func (LoadSection) Returns(Inventory) {}
//
// [Do] asks, and names the function that makes an action of the [Result], error
// included:
//
//	effect.Do(LoadSection{"e1", "A"}, onLoaded)
//
//	func onLoaded(r effect.Result[Inventory]) Action {
//		if r.Err != nil {
//			return LoadFailed{r.Err}
//		}
//		return Loaded{r.Value}
//	}
//
// [Fire] asks and wants no action. [Stream] asks for many results: each is
// reduced before the next is asked for, and the last carries the error that
// ended the stream, io.EOF if none did.
//
// # The other effects
//
// [Of] makes the effects that need no type but the action's. It is declared once
// beside the reducer:
//
//	var fx effect.Of[Action]
//
// [Of.Send] reduces an action before the next one from outside. [Of.After]
// reduces one when some time has passed, and replaces the timer that runs under
// its key. [Of.Hold] sets the action being reduced aside, unfinished, until
// [Of.Resume]. [Of.All] runs effects side by side, [Of.Sequence] one after
// another, in any nesting. [Of.None] is nothing, as is the zero Effect. [Of.Run]
// and [Of.Stream] call functions that nobody can see into; they are for what
// cannot be put as a request.
//
// [Map] changes the actions of an effect: a parent takes up its child's. Package
// reducer does that for you.
//
// # Keys
//
// [Key] puts a request under a key, by which [Of.Cancel] ends it, and its
// [Policy] says what happens when the key is in use: [Every] runs it beside the
// others, [Latest] ends them, [Leading] drops it, [Queue] lets it wait.
//
//	effect.Do(Search{text}, onFound, effect.Key("search", effect.Latest))
//
// Timers and holds are under their keys too, and Cancel ends all there is: what
// runs, what waits in line, what a sequence has not started yet, and results
// that have arrived and are not reduced. After Cancel is reduced, nothing of that
// key is. A Cancel that stands in a sequence spares what follows it there.
//
// Within one step effects start in the order in which they stand. What goes on
// because something else ended (the next in a sequence, the next in line) starts
// after those.
//
// # When it takes long or fails
//
// [Timeout] bounds each attempt and [Retry] says which failures are tried again:
//
//	effect.Do(Charge{order}, onCharged,
//		effect.Timeout(2*time.Second),
//		effect.Retry(effect.RetryPolicy{Attempts: 5}))
//
// They are part of the effect, so that virtual time covers them in tests.
// [Retryable] is the judgement used when a policy has none: everything but what
// is known to be final. A handler marks a failure as final with [Permanent].
//
// An effect that makes no sense (a negative time, a key that cannot be compared)
// does nothing but give its result: an [ErrInvalid], as the error of a request,
// else as a dead letter.
//
// # Handlers
//
// A [Handler] does the work of one type of request. It is an ordinary function,
// often a method of a repository or a client, and the only place where the world
// is touched:
//
//	func (db *DB) LoadSection(ctx context.Context, q LoadSection) (Inventory, error)
//
//	effect.Handle(db.LoadSection)
//
// [HandleStream] is for those that give many results. A request without handler
// results in [ErrNoHandler], a handler's panic in a [*PanicError]. [WithMiddleware]
// wraps a handler; package effect/resilience has limits, circuit breakers and
// retries made of it.
//
// # Looking at effects
//
// [Describe] gives an effect as plain data, for assertions, logs and inspection:
//
//	fmt.Println(effect.Describe(e))
//
// # Concurrency
//
// An Effect never changes; it may be kept, returned again and shared by
// goroutines. The function given to [Do] runs in the store's turn, one at a time,
// and must be pure. A handler and its middleware are called by many goroutines at
// once. A stream's handler is blocked until its last value has been reduced,
// which is its backpressure.
//
// # Sources
//
// Effects that a pure function returns and a runtime performs are Elm's Cmd
// (Czaplicki, elm/core). Keys that cancel, and effects of children taken up by
// parents, are those of The Composable Architecture (Point-Free). Composable Rust
// brought both to servers; this package descends from it, and makes data of what
// it has as futures.
package effect
