package saga

import (
	"context"
	"hash/fnv"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// Store is where sagas live. Three homes keep this contract: saga/memory,
// saga/sqlite and saga/postgres; package sagatest holds any home to it. A home
// knows nothing of what a saga is: it keeps a record for each, changes it only
// from the sequence that was expected, and finds the records that are due.
//
// All methods may be called from any goroutine. What a method has returned is
// seen by every call that begins afterwards. Byte slices that are handed to a
// home, or by it, are not changed any more by anybody. Errors:
// *eventstore.InputError for what makes no sense, ErrClosed, the context's, and
// the home's own. Of these, one that may pass by itself says so with a method
// Retryable() bool, see [eventstore.Retryable]: [Handle.Wait] ends with any other. A
// worker asks again whatever the error is.
type Store interface {
	Heads
	Inbox
	Leases
}

// Heads keeps the records of sagas and their histories.
type Heads interface {
	// Load returns the record of a saga, if there is one.
	Load(ctx context.Context, id ID) (r Record, found bool, err error)
	// Commit makes all changes whose conditions hold, in one transaction, and
	// returns a verdict for each; one that is not made does not fail its
	// neighbours. No two changes may be for the same saga. After an error
	// nothing is known of any of them: who needs to know loads the record, and
	// finds its own Commit in it or does not.
	Commit(ctx context.Context, changes []Change) ([]Verdict, error)
	// Due returns the sagas of those shards that are due first, in the order of
	// their time and, where that is equal, of their ids ([ID.Compare]), from the
	// first after the cursor on; the zero Due is before all. What is due in the
	// future is returned too: the caller sleeps until then. The time it takes
	// does not grow with the sagas that are due later. limit is at least 1.
	Due(ctx context.Context, shards []Shard, after Due, limit int) ([]Due, error)
	// List returns records without State and Work, in the order of their ids.
	List(ctx context.Context, q Query) ([]Record, error)
	// History returns what was decided after that sequence, in order. limit is
	// at least 1.
	History(ctx context.Context, id ID, after int64, limit int) ([]Entry, error)
	// Purge forgets at most limit sagas that have ended and were not changed
	// since before, with their histories and messages, and returns how many. Who
	// starts a saga with such a key starts a new one. limit is at least 1.
	Purge(ctx context.Context, before time.Time, limit int) (int, error)
}

// Inbox keeps messages for sagas that reach a process which does not own them,
// or which the saga does not take at the moment.
type Inbox interface {
	// Post keeps a message until it is consumed. One with an ID that waits for
	// that saga already is not kept a second time, and no error. It is
	// ErrNotFound if there is no such saga and no start that waits, unless it is
	// a start.
	Post(ctx context.Context, m Message) error
	// Inbox returns the first messages of those shards in the order of their
	// positions. It leaves out those of sagas that are Stuck or Paused, which
	// keep their places, but for wakes. limit is at least 1.
	Inbox(ctx context.Context, shards []Shard, limit int) ([]Message, error)
	// Waiting returns the messages that wait for one saga after that position, in
	// their order, whatever its status. limit is at least 1.
	Waiting(ctx context.Context, id ID, after int64, limit int) ([]Message, error)
	// Discard forgets messages. Those that are gone are no error.
	Discard(ctx context.Context, positions []int64) error
}

// Leases spreads shards over workers. A shard has one owner at a time, and an
// epoch: a fencing token that ascends whenever the owner changes. Whether an
// owner lives is judged by the home's clock, from its last beat.
//
// Two workers may take themselves for the owner of a shard for a moment. What
// keeps decisions single is the expected sequence of a [Change]; leases only
// keep work from being done twice.
type Leases interface {
	// Join makes a new incarnation of the worker with that ID and returns the
	// worker with it. Whoever was that worker before is fenced: its beats are
	// ErrFenced, the epochs of its shards ascend. Shards of types that the new one
	// has stay its own, others are released. ttl is more than 0.
	Join(ctx context.Context, w Worker, ttl time.Duration) (Worker, error)
	// Beat says that a worker lives for ttl from now, and what it is, and returns
	// all workers, and the leases of the worker's types: those that were ever
	// claimed, in the order of their shards. It is ErrFenced if there is a newer
	// incarnation, or the worker has left or was forgotten.
	Beat(ctx context.Context, w Worker, ttl time.Duration) (Fleet, error)
	// Look returns what Beat does, with the leases of all types, and changes nothing.
	Look(ctx context.Context) (Fleet, error)
	// Claim makes the worker the owner of those leases that still are as given,
	// by epoch, and returns them with their new epochs. The epoch of a shard that
	// was never claimed is 0. It is ErrFenced as Beat.
	Claim(ctx context.Context, w Worker, leases []Lease) ([]Lease, error)
	// Release gives up those leases that still are as given, by owner and epoch.
	Release(ctx context.Context, w Worker, leases []Lease) error
	// Leave releases all that the worker owns and forgets it. A worker with a
	// newer incarnation is left alone.
	Leave(ctx context.Context, w Worker) error
	// SetPaused keeps the last pause or resumption of each type, and all of them in
	// a log.
	SetPaused(ctx context.Context, p Pause) error
	// PauseLog returns what SetPaused was given, the newest first: those with a
	// number below before, or all if that is 0, of one type, or of all if that is
	// "". limit is at least 1.
	PauseLog(ctx context.Context, name string, before int64, limit int) ([]PauseEntry, error)
}

// Waker is a home that can tell at once when there may be something new: a
// message, a lease, a pause. Without it a runner finds out when it looks next.
type Waker interface {
	// Wake returns a channel that receives when there may be something new,
	// whoever brought it about, and is closed when ctx ends or the home closes.
	// Several wakes may come as one.
	Wake(ctx context.Context) <-chan struct{}
}

// Parallel is a home that has more done when several commits are on their way at
// once.
type Parallel interface {
	// Commits is how many do well, at least 1; [Config].Commits overrides it.
	Commits() int
}

// Transactional is a home whose transactions handlers can do their work in: those
// that its HandleTx declares. Then a decision, the effects that it begins, the
// decisions on their results and so on are one commit, up to [Config].MaxChain
// effects. A decision that begins other effects too is the last of them. Where
// anything goes wrong the transaction is rolled back, and each is committed by
// itself, as if there were no such commit.
type Transactional interface {
	// Joins tells whether a handler that was declared with db works in transactions
	// of this home, and in that of its context if CommitTx has made it.
	Joins(db any) bool
	// CommitTx runs f in a transaction, makes the changes that f returns in it, and
	// commits all of it, or nothing. In the context that f is given, handlers that
	// join the home do their work in the transaction. f must not call the home. It
	// may be called again, in another transaction, when nothing is left of what it
	// did in the first.
	//
	// The changes are decisions of one saga that follow one another, at least one. The
	// head has to be as the first expects it, and becomes that of the last; entries,
	// messages consumed and posts of all are kept, in order. Their epoch is the same.
	//
	// With any verdict but Committed the transaction was rolled back, and so it was
	// with an error of f, in which errors.Is finds it. After another error nothing is
	// known of it, as after that of a Commit.
	CommitTx(ctx context.Context, f func(ctx context.Context) ([]Change, error)) (Verdict, error)
}

// Shards is how many shards the sagas of a type are spread over.
const Shards = 64

// ID names a saga.
type ID struct {
	Tenant string // "" where there are no tenants
	Type   string // the name of its definition
	Key    string
}

// String writes the id as it stands in keys of effects: type/key, and with a
// tenant tenant:type/key. Different ids are written differently.
func (id ID) String() string {
	if id.Tenant == "" {
		return id.Type + "/" + id.Key
	}
	return url.QueryEscape(id.Tenant) + ":" + id.Type + "/" + id.Key
}

// Shard is the shard that the saga belongs to.
func (id ID) Shard() Shard {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id.Tenant))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(id.Key))
	return Shard{Type: id.Type, Number: int(h.Sum32() % Shards)}
}

// Compare orders ids by tenant, type and key, byte for byte.
func (id ID) Compare(other ID) int {
	for _, pair := range [...][2]string{{id.Tenant, other.Tenant}, {id.Type, other.Type}, {id.Key, other.Key}} {
		switch {
		case pair[0] < pair[1]:
			return -1
		case pair[0] > pair[1]:
			return 1
		}
	}
	return 0
}

// Status is how far a saga has come.
type Status string

// The statuses. A saga that is Running or Compensating is worked on; one that is
// Stuck or Paused waits for an operator; the others have ended.
const (
	Running      Status = "running"
	Compensating Status = "compensating"
	Stuck        Status = "stuck"
	Paused       Status = "paused"
	Completed    Status = "completed"
	Compensated  Status = "compensated"
	Terminated   Status = "terminated"
)

// Statuses are all there are.
func Statuses() []Status {
	return []Status{Running, Compensating, Stuck, Paused, Completed, Compensated, Terminated}
}

// Ended tells whether s is an end.
func (s Status) Ended() bool { return s == Completed || s == Compensated || s == Terminated }

// Record is the head of a saga: one row. State and Work are opaque to a home;
// the other fields are for finding it.
type Record struct {
	ID ID
	// Sequence counts the commits of the saga; the first is 1.
	Sequence int64
	// Commit tells which commit wrote the record.
	Commit uuid.UUID
	Status Status
	// Ready tells that there is work to do at once: whoever takes over the
	// shard goes on with it.
	Ready bool
	// Due is when something is to be done if nothing happens before, to the
	// microsecond; zero is never.
	Due time.Time
	// Attempts is how often what it waits for was tried, the most of all.
	Attempts int
	// Schema is the version of the form of State.
	Schema int
	// Reason is why it compensates, is stuck, or has ended so.
	Reason  string
	Started time.Time
	Updated time.Time
	// State is the user's state, as JSON.
	State []byte
	// Work is what is pending, to be undone and timed, as JSON.
	Work []byte
}

// Change is one decision: the head that follows, and what goes with it. All of
// it is committed, or nothing.
type Change struct {
	// Record is the head that follows. It replaces one whose Sequence is one
	// less; with Sequence 1 there must be none.
	Record Record
	// Epoch must be that of the lease of the record's shard. 0 asks for nothing.
	Epoch int64
	// Entry goes into the history. Its Sequence is the record's.
	Entry Entry
	// Consumed are the positions of messages that the inbox forgets.
	Consumed []int64
	// Posts are messages to other sagas, kept as those of Post are, but for
	// sagas that do not exist too.
	Posts []Message
}

// Verdict tells what became of a change.
type Verdict uint8

// The verdicts. Where both hold, it is Fenced.
const (
	Committed Verdict = iota + 1
	// Conflict is that the head is not at the sequence expected.
	Conflict
	// Fenced is that the lease of the shard has another epoch.
	Fenced
)

func (v Verdict) String() string {
	switch v {
	case Committed:
		return "committed"
	case Conflict:
		return "conflict"
	case Fenced:
		return "fenced"
	}
	return "unknown"
}

// Entry is one line of a saga's history.
type Entry struct {
	Sequence int64
	At       time.Time
	// Kind is what was decided on: start, signal, reply and so on.
	Kind string
	// Data is what it was and what followed, as JSON.
	Data []byte
}

// Due is a saga that is due.
type Due struct {
	ID ID
	At time.Time
}

// Query says which records to list. Zero fields ask for nothing.
type Query struct {
	// Tenant is whose sagas to list; AllTenants lists everybody's.
	Tenant     string
	AllTenants bool
	Type       string
	Statuses   []Status
	// Shards are where to look; empty is everywhere.
	Shards []Shard
	// Ready lists only those that have work to do at once.
	Ready bool
	// StartedBefore lists those that are older, DueBefore those that were due
	// earlier.
	StartedBefore time.Time
	DueBefore     time.Time
	// Attempts lists those with at least as many.
	Attempts int
	// Owner lists those whose shard that worker owns.
	Owner string
	// After is the id after which the list goes on; zero is the beginning.
	After ID
	// Limit bounds the list; 0 is 100.
	Limit int
}

// DefaultLimit is how many records are listed if a query does not say.
const DefaultLimit = 100

// MessageKind says what a message is.
type MessageKind string

// The kinds of messages.
const (
	StartMessage  MessageKind = "start"
	SignalMessage MessageKind = "signal"
	CancelMessage MessageKind = "cancel"
	ReplyMessage  MessageKind = "reply"
	// WakeMessage says that somebody else has changed the saga.
	WakeMessage MessageKind = "wake"
)

// Message is something for a saga that waits in the inbox.
type Message struct {
	// Position is its place in the inbox, set by the home. A post that begins
	// when another has returned has a higher one.
	Position int64
	To       ID
	// ID identifies the message to its saga.
	ID   string
	Kind MessageKind
	// Body is opaque to a home.
	Body []byte
	At   time.Time
}

// Shard is a part of the sagas of a type.
type Shard struct {
	Type   string
	Number int // 0 to Shards-1
}

// Worker is a process that runs sagas.
type Worker struct {
	// ID is the instance: unique among those that run, the same after a restart.
	ID string
	// Incarnation tells apart those that have had the ID. Join sets it.
	Incarnation int64
	// Types are the sagas it knows.
	Types []string
	// Draining tells that it gives up what it owns.
	Draining bool
}

// Member is a worker as others see it.
type Member struct {
	Worker
	Live bool // its lease has not run out
}

// Lease is a shard with its owner.
type Lease struct {
	Shard Shard
	Owner string // the ID of a worker, "" if it was released
	Epoch int64
}

// Fleet is who runs sagas, and which.
type Fleet struct {
	Members []Member // in the order of their ids
	Leases  []Lease
	Pauses  []Pause // of all types, in their order
}

// Pause stops a type: no decision is made and no effect begun, or goes on.
type Pause struct {
	Type string
	// Worker is who is drained, or is so no more, in the place of a type: its Type
	// is a name that stands for it.
	Worker string
	Paused bool // false: it goes on
	Actor  string
	Reason string
	At     time.Time
}

// PauseEntry is a line of the log of pauses.
type PauseEntry struct {
	// Number is its place: a later one has a higher one.
	Number int64
	Pause
}
