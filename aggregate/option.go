package aggregate

// Option says something about one command. The zero value says nothing.
type Option struct {
	kind optionKind
	key  string
}

type optionKind uint8

const (
	optionKey optionKind = iota + 1
	optionWithoutFeedback
)

// WithKey gives a command an idempotency key, of its tenant's. The first command
// with the key is decided, and what becomes of it is kept with its events for
// Config.KeepKeys. The same command with the same key is not decided again: it
// gets the same feedback, or the same rejection. Another one is a
// *[KeyReusedError]. A command that failed is not kept.
func WithKey(key string) Option { return Option{kind: optionKey, key: key} }

// WithoutFeedback is for commands of process managers, which have no session to
// keep consistent: the feedback has no state, which spares making it.
func WithoutFeedback() Option { return Option{kind: optionWithoutFeedback} }

// settings are the options of one command.
type settings struct {
	key   string
	keyed bool
	quiet bool
}

func settingsOf(opts []Option) (s settings) {
	for _, o := range opts {
		switch o.kind {
		case optionKey:
			s.key, s.keyed = o.key, true
		case optionWithoutFeedback:
			s.quiet = true
		}
	}
	return s
}
