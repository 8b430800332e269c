package effect

import (
	"time"

	"github.com/seed57833328/rondo/internal/tree"
)

// Option says how one request, stream or opaque function is run. The zero value
// says nothing; of two of a kind the later holds.
type Option struct {
	kind    optionKind
	policy  tree.Policy
	key     any
	timeout time.Duration
	retry   *tree.Retry
}

type optionKind uint8

const (
	optionKey optionKind = iota + 1
	optionTimeout
	optionRetry
)

// Policy says what happens when an effect starts under a key that is in use.
type Policy uint8

// The policies of a key.
const (
	// Every runs effects of one key side by side; Cancel ends them all.
	Every = Policy(tree.Every)
	// Latest ends what runs under the key, then starts.
	Latest = Policy(tree.Latest)
	// Leading drops the new effect while another runs under the key.
	Leading = Policy(tree.Leading)
	// Queue starts the new effect when those before it under the key have settled.
	Queue = Policy(tree.Queue)
)

func (p Policy) String() string {
	switch p {
	case Every:
		return "every"
	case Latest:
		return "latest"
	case Leading:
		return "leading"
	case Queue:
		return "queue"
	}
	return "unknown"
}

// Key puts an effect under a key, by which it can be cancelled, and says what
// happens if the key is in use; [Every] without a policy. Any value that can be
// compared is a key; one that cannot makes the result an [ErrInvalid]. A nil key
// is none, and is refused the same way if a policy is given with it.
//
// A key is in use as long as anything under it has not settled, timers and holds
// included.
func Key(key any, policy ...Policy) Option {
	o := Option{kind: optionKey, key: key}
	for _, p := range policy {
		o.policy = tree.Policy(p)
	}
	return o
}

// Timeout bounds each attempt. When it has passed the handler's context is
// cancelled and the attempt's error is [ErrTimeout]. It must be positive.
func Timeout(d time.Duration) Option {
	if d == 0 {
		d = -1 // refused where negative ones are: a zero was written on purpose
	}
	return Option{kind: optionTimeout, timeout: d}
}

// RetryPolicy says which failures of a request are tried again, and when.
// The zero value is three attempts, 100 ms and 200 ms apart.
type RetryPolicy struct {
	// Attempts is how many there are at most, the first included; 0 is 3.
	Attempts int
	// Delay is the wait before the second attempt; 0 is 100 ms.
	Delay time.Duration
	// MaxDelay bounds every wait; 0 is 30 s, or Delay if that is longer.
	MaxDelay time.Duration
	// Factor is what a wait is multiplied with for the next; 0 is 2, 1 keeps it.
	Factor float64
	// Jitter spreads each wait over ±Jitter of itself, from 0 to 1. It is drawn
	// from the effect's number, not from chance, so a replay waits alike.
	Jitter float64
	// If tells whether an error is worth another attempt; nil is [Retryable].
	If func(error) bool
}

// Retry tries a request again when it fails, by the policy. The result is that
// of the last attempt.
func Retry(policy RetryPolicy) Option {
	r := tree.Retry(policy)
	if r.Attempts == 0 {
		r.Attempts = 3
	}
	if r.Delay == 0 {
		r.Delay = 100 * time.Millisecond
	}
	if r.MaxDelay == 0 {
		r.MaxDelay = max(30*time.Second, r.Delay)
	}
	if r.Factor == 0 {
		r.Factor = 2
	}
	if r.If == nil {
		r.If = Retryable
	}
	return Option{kind: optionRetry, retry: &r}
}

func (o *Option) apply(to *tree.Options) {
	switch o.kind {
	case optionKey:
		to.Key, to.Policy = o.key, o.policy
	case optionTimeout:
		to.Timeout = o.timeout
	case optionRetry:
		to.Retry = o.retry
	}
}
