package eventstore

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"
)

// Store is an event store. See the package's documentation for what its methods
// promise; the homes of this module also have [Lookup], [Claims], [Snapshots]
// and [Checkpoints].
type Store interface {
	// Append commits all writes or none, and returns what became of each. The
	// events of a write stand together in its stream, and no two writes may have
	// the same stream. Of several writes, what comes earlier has lower
	// positions. Without writes nothing is done. Of several reasons to refuse it
	// a duplicate is told first, then a claim, then a conflict, so that who
	// appends the same again is told that it has happened; of several of a kind,
	// that of the earliest write. Errors: *InputError, ErrNoTenant, *ConflictError,
	// *DuplicateEventError, *ClaimedError, *UnknownOutcomeError, ErrClosed, the
	// context's, and the home's own; [Retryable] tells what to do about those.
	Append(ctx context.Context, writes ...Write) ([]Appended, error)
	// ReadStream reads a stream from that version on; 0 and 1 are its beginning.
	// A stream that is not there has no events.
	ReadStream(ctx context.Context, stream string, from Version) iter.Seq2[Recorded, error]
	// ReadAll reads what stands after that position, up to the head at the time
	// of the call or later.
	ReadAll(ctx context.Context, after Position, f Filter) iter.Seq2[Recorded, error]
	// Head is the greatest position p such that every event at or below p that
	// will ever be has been committed, and can be read now: at least that of
	// every append that has returned.
	Head(ctx context.Context) (Position, error)
	// Subscribe reads what stands after that position, and then what comes. It
	// ends with an error only: that of the context, ErrClosed, or what made
	// reading impossible. A connection that is lost and found again does not end
	// it.
	Subscribe(ctx context.Context, after Position, f Filter) iter.Seq2[Recorded, error]
}

// Lookup finds events by their ids: the way to know what became of an append
// whose outcome was unknown.
type Lookup interface {
	// Lookup returns those of the events that were committed, in the order of
	// their positions.
	Lookup(ctx context.Context, ids ...uuid.UUID) ([]Recorded, error)
}

// Claim is an idempotency key with what became of the request that had it. It is
// committed with the events of the request, see [Write].
type Claim struct {
	// Key is the idempotency key.
	Key string
	// Hash identifies the request, so that another one with the same key is told
	// from a repetition. At most 64 bytes.
	Hash []byte
	// Result is what is kept for a repetition.
	Result []byte
	// Until is when the key can be taken again. It is refused if it is zero.
	Until time.Time
}

// Claims finds claims.
type Claims interface {
	// LoadClaim returns the claim with that key, if there is one whose time has
	// not run out.
	LoadClaim(ctx context.Context, key string) (c Claim, found bool, err error)
	// DeleteExpiredClaims forgets at most limit claims whose time has run out,
	// and returns how many; limit is at least 1. It serves all tenants, whatever
	// the context says of them.
	DeleteExpiredClaims(ctx context.Context, limit int) (int, error)
}

// Snapshot is the state of a stream at a version, to be loaded in the place of
// the events before it.
type Snapshot struct {
	Stream string
	// Type says what is in Data; a stream has one snapshot of each type.
	Type string
	// Schema is the version of the form of Data; 0 is 1.
	Schema int
	// Version is that of the last event in it.
	Version Version
	Data    []byte
	// Subjects are whom Data is about; see package erasure.
	Subjects []string
	At       time.Time // when it was saved; set by the store
}

// Snapshots keeps snapshots. They are a cache: losing one costs time only.
type Snapshots interface {
	// SaveSnapshot keeps a snapshot, unless one of the same stream and type with
	// a greater version is there: then it does nothing. A version the stream has
	// not reached is a *InputError.
	SaveSnapshot(ctx context.Context, s Snapshot) error
	// LoadSnapshot returns the snapshot of that stream and type, if there is one.
	LoadSnapshot(ctx context.Context, stream, snapshotType string) (s Snapshot, found bool, err error)
	// DeleteSnapshot forgets it. It is no error if there is none.
	DeleteSnapshot(ctx context.Context, stream, snapshotType string) error
}

// Lease is the right to run a subscription, for a time. Its Token is a fencing
// token: it ascends with each new holder, and what a holder of an older one
// tries to save is refused.
type Lease struct {
	Subscription string
	Owner        string
	Token        int64
	// Checkpoint is how far the subscription has come.
	Checkpoint Position
	// Expires is when others may take it, by the home's clock.
	Expires time.Time
}

// Checkpoints keeps how far subscriptions have come, and who runs them.
type Checkpoints interface {
	// AcquireLease takes the lease of a subscription, or renews that which the
	// same owner has. The token stays the same when it is renewed before it has
	// run out, and ascends otherwise. Somebody else's is a *LeaseHeldError. ttl
	// is more than 0.
	AcquireLease(ctx context.Context, subscription, owner string, ttl time.Duration) (Lease, error)
	// SaveCheckpoint sets the checkpoint and renews the lease for ttl. It is
	// ErrFenced if the lease is not held any more, also by its running out and
	// being taken by another, or was released or reset. A checkpoint never goes
	// back: a lower one is a *InputError, to who holds the lease.
	SaveCheckpoint(ctx context.Context, lease Lease, checkpoint Position, ttl time.Duration) (Lease, error)
	// ReleaseLease gives the lease up, so that another need not wait. It does
	// nothing if the lease is not held any more.
	ReleaseLease(ctx context.Context, lease Lease) error
	// LoadCheckpoint returns the lease as it was last held, for looking on.
	LoadCheckpoint(ctx context.Context, subscription string) (l Lease, found bool, err error)
	// ResetCheckpoint sets the checkpoint back, or forward, and fences whoever
	// holds the lease.
	ResetCheckpoint(ctx context.Context, subscription string, checkpoint Position) error
}

// Keys keeps the encryption keys of subjects, see package erasure.
type Keys interface {
	// Key returns the subject's key, 32 random bytes that are made and kept on
	// the first call. A subject whose key was deleted is ErrErased.
	Key(ctx context.Context, subject string) ([]byte, error)
	// LoadKey returns the subject's key. ErrErased is that it was deleted, and
	// ErrNoKey that there was none.
	LoadKey(ctx context.Context, subject string) ([]byte, error)
	// DeleteKey deletes the subject's key for good, and remembers that it did,
	// also if there was none.
	DeleteKey(ctx context.Context, subject string) error
}
