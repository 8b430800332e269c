package aggregate

import (
	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/workflow"
)

// key names an aggregate.
type key struct{ Tenant, ID string }

// machine is what a host knows of one aggregate: the state of a store.
//
// Commands wait in line, in the order in which they came. One turn after the
// other takes those at the front, as many as may, and decides them one on top of
// the other. What they make happen is one append. Before a turn the workflow says
// whether the state may be used or has to be loaded.
//
// The first in line leads its turn: what the turn asks for is caused by that
// command. The others are held (effect.Of.Hold) and answered in their own place.
type machine[S, C any] struct {
	tenant, stream string

	flow    workflow.Workflow[struct{}, uint64] // of turns
	turn    uint64                              // the next, or that which waits for a load
	catchUp bool                                // the next load is of what the stream has beyond version

	// state is that of the stream at version, if known is set. Commits and loads
	// put another in its place; what it leads to is never changed, so requests
	// may share it.
	state    S
	version  eventstore.Version
	position eventstore.Position // of the event at version, 0 if not known
	known    bool
	rows     bool // the state is that of a read model, which may lag
	distrust bool // snapshots and read models claim what the stream does not have
	kept     kept

	line  []entry[C]
	batch *batch[S, C] // being appended, nil if none is
	doing doing
	solo  int // so many of the line are decided each by itself

	next   uint64 // the ticket of the next command
	asOf   uint64 // the state was the stream's after commands below this ticket came
	asking uint64 // what asOf will be when the load has succeeded
}

// doing is what a machine waits for.
type doing uint8

const (
	nothing   doing = iota
	turning         // for the next turn's own action
	loading         // for a load
	appending       // for an append
	pausing         // for a moment, since others change the aggregate too
)

// order is a command as it was given. It does not change.
type order[C any] struct {
	// id is the command's, and what the ids of its events are made of, so that
	// an append can be done again.
	id      uuid.UUID
	command C
	meta    reducer.Meta // ActionID is that which events name as their cause
	key     string       // idempotency key, "" for none
	hash    []byte
	quiet   bool
	look    bool // there is no command: the state is wanted
}

// entry is an order that has a place in line.
type entry[C any] struct {
	order    *order[C]
	ticket   uint64
	attempts int  // decisions that came too late
	held     bool // it does not lead
	gone     bool // its caller has left while it was being appended
}

// batch is what one append is about.
type batch[S, C any] struct {
	decisions []decision[S, C]
	state     S // after all of them
	version   eventstore.Version
	events    []eventstore.Event
	asking    uint64

	// There is mostly one of each; they are here to be one allocation.
	oneDecision [1]decision[S, C]
	oneReply    [1]reply[S]
	oneEvent    [1]eventstore.Event
	oneWrite    [1]eventstore.Write
	source      source
}

// decision is what was decided about an entry.
type decision[S, C any] struct {
	entry[C]
	from, to int       // its events in the batch
	reply    *reply[S] // but for what only the append tells
	claim    *eventstore.Claim
}

// reply is what a caller gets.
type reply[S any] struct {
	Feedback[S]
	err error
	of  uuid.UUID // the order
}

// action is what the reducer of machines is told. It is a small struct, so that
// telling costs no allocation and a store of many keeps little.
type action[S, C any] struct {
	kind    kind
	verdict verdict // wasWithdrawn
	order   *order[C]
	// payload is a *loaded[S] or an error (wasLoaded), an error or nil
	// (wasAppended), a *eventstore.Claim (replay), a *reply[S] (answer).
	payload  any
	recorded []eventstore.Recorded // wasAppended
}

type kind uint8

const (
	submit     kind = iota + 1 // a command comes
	withdraw                   // its caller has left
	invalidate                 // the state is out of date
	goOn                       // it is the turn of the command in whose place this is
	replay                     // the command in whose place this is was done before
	wasLoaded                  // the answers of requests
	wasAppended
	answer       // of a command, for its caller
	wasWithdrawn // of a withdraw
)

// verdict is what a caller who leaves is told.
type verdict uint8

const (
	unseen   verdict = iota // it has been answered, or never came
	undone                  // it was waiting, and waits no more
	underway                // it is being appended
)

// loadState asks for the state of an aggregate.
type loadState[S any] struct {
	Tenant, Stream string
	// Base is what is known, nil if nothing is. It is only read.
	Base *base[S]
	// CatchUp wants what the stream has beyond Base, instead of a new load from
	// where that would be from.
	CatchUp bool
	// Distrust wants the stream and nothing else to be read.
	Distrust bool
	Kept     kept
}

// base is a state to go on from.
type base[S any] struct {
	State    S
	Version  eventstore.Version
	Position eventstore.Position
}

// Returns names the result.
func (loadState[S]) Returns(*loaded[S]) {}

// loaded is a state that was read.
type loaded[S any] struct {
	base[S]
	// Current tells that it was the stream's when it was read, and not a read
	// model's, which may lag.
	Current bool
	// Kept is about the snapshot below it.
	Kept kept
}

// appendEvents asks for an append: of the events of one stream, which come first
// if there are any, and of claims.
type appendEvents struct {
	Tenant string
	Writes []eventstore.Write
}

// Returns names the result.
func (appendEvents) Returns([]eventstore.Recorded) {}

// rebuild asks for the feedback of a command that was done before.
type rebuild[S any] struct {
	Order          uuid.UUID // for whom
	Tenant, Stream string
	Was            outcome
	Quiet          bool
}

// Returns names the result.
func (rebuild[S]) Returns(*reply[S]) {}

func onLoaded[S, C any](r effect.Result[*loaded[S]]) action[S, C] {
	if r.Err != nil {
		return action[S, C]{kind: wasLoaded, payload: r.Err}
	}
	return action[S, C]{kind: wasLoaded, payload: r.Value}
}

func onAppended[S, C any](r effect.Result[[]eventstore.Recorded]) action[S, C] {
	if r.Err != nil {
		return action[S, C]{kind: wasAppended, payload: r.Err}
	}
	return action[S, C]{kind: wasAppended, recorded: r.Value}
}

func onRebuilt[S, C any](order uuid.UUID) func(effect.Result[*reply[S]]) action[S, C] {
	return func(r effect.Result[*reply[S]]) action[S, C] {
		if r.Err != nil {
			return action[S, C]{kind: answer, payload: &reply[S]{of: order, err: r.Err}}
		}
		return action[S, C]{kind: answer, payload: r.Value}
	}
}
