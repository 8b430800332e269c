package saga

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is written by hand is what encoding/json writes, and is read again.
func TestEncoding(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[a-z0-9/.-]{1,12}`), rapid.SampledFrom([]string{"<&>", "\"\\", "\x7f", "ü\u2028", "\xff"}))
	raw := rapid.Custom(func(t *rapid.T) json.RawMessage {
		data, err := json.Marshal(rapid.MapOf(text, text).Draw(t, "data"))
		require.NoError(t, err)
		return data
	})
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.UnixMicro(rapid.Int64Range(-1e15, 1e17).Draw(t, "at")).UTC()
	})
	number := rapid.IntRange(-2, 1<<40)
	action := rapid.Custom(func(t *rapid.T) *named {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		return &named{text.Draw(t, "name"), raw.Draw(t, "data")}
	})
	sender := rapid.Custom(func(t *rapid.T) *meta {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		return &meta{Correlation: uuid.UUID{1}, Actor: text.Draw(t, "actor")}
	})
	calls := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) call {
		c := call{
			ID: text.Draw(t, "id"), Request: text.Draw(t, "request"), Data: raw.Draw(t, "data"), Key: text.Draw(t, "key"),
			Attempts: number.Draw(t, "attempts"), Next: moment.Draw(t, "next"), Timeout: time.Duration(number.Draw(t, "timeout")),
			Error: text.Draw(t, "error"), Later: rapid.Bool().Draw(t, "later"),
			Child: text.Draw(t, "child"), Cancels: text.Draw(t, "cancels"),
		}
		if rapid.Bool().Draw(t, "retry") {
			c.Retry = &RetryPolicy{Attempts: number.Draw(t, "attempts"), Jitter: -0.5}
		}
		return c
	}), 0, 3)
	parents := rapid.Custom(func(t *rapid.T) *origin {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		return &origin{Type: text.Draw(t, "type"), Key: text.Draw(t, "key"), Effect: text.Draw(t, "effect")}
	})
	inputs := rapid.Custom(func(t *rapid.T) *input {
		in := &input{
			Kind: inputKind(text.Draw(t, "kind")), Action: action.Draw(t, "action"), Message: text.Draw(t, "message"), Effect: text.Draw(t, "effect"),
			Value: raw.Draw(t, "value"), Later: rapid.Bool().Draw(t, "later"), Stale: rapid.Bool().Draw(t, "stale"), Key: text.Draw(t, "key"),
			At: moment.Draw(t, "at"), Reason: text.Draw(t, "reason"), Actor: text.Draw(t, "actor"), Meta: sender.Draw(t, "meta"), Token: text.Draw(t, "token"),
			Parent: parents.Draw(t, "parent"),
		}
		if rapid.Bool().Draw(t, "child") {
			in.Child = &childEnd{Status: Status(text.Draw(t, "status")), Schema: number.Draw(t, "schema"), Undo: rapid.Bool().Draw(t, "undo")}
		}
		if rapid.Bool().Draw(t, "failure") {
			in.Failure = &EffectError{Message: text.Draw(t, "message"), Code: text.Draw(t, "code"), Rejected: true}
		}
		return in
	})
	rapid.Check(t, func(t *rapid.T) {
		w := work{
			Pending: calls.Draw(t, "pending"), Undo: calls.Draw(t, "undo"), Given: calls.Draw(t, "given"),
			Timers: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) timer {
				at := moment.Draw(t, "at")
				if at.IsZero() { // a timer has a time
					at = time.UnixMicro(1).UTC()
				}
				return timer{text.Draw(t, "key"), at, named{text.Draw(t, "name"), raw.Draw(t, "data")}}
			}), 0, 2).Draw(t, "timers"),
			Seen: rapid.SliceOfN(text, 0, 3).Draw(t, "seen"),
			Was:  Status(text.Draw(t, "was")), WasReason: text.Draw(t, "reason"), Pivoted: rapid.Bool().Draw(t, "pivoted"),
			Ending: rapid.Bool().Draw(t, "ending"), Trace: text.Draw(t, "trace"), Meta: sender.Draw(t, "meta"),
			Parent: parents.Draw(t, "parent"), Told: Status(text.Draw(t, "told")), Owes: rapid.Bool().Draw(t, "owes"),
		}
		if rapid.Bool().Draw(t, "parked") {
			w.Parked = inputs.Draw(t, "parked input")
		}
		for range rapid.IntRange(0, 2).Draw(t, "results") {
			w.Results = append(w.Results, *inputs.Draw(t, "result"))
		}
		want, err := json.Marshal(&w)
		require.NoError(t, err)
		require.Equal(t, string(want), string(encodeWork(&w)))
		var read work
		require.NoError(t, json.Unmarshal(encodeWork(&w), &read))

		d := told{
			Input: inputs.Draw(t, "input"), Status: Status(text.Draw(t, "status")), Action: action.Draw(t, "action"), Late: rapid.Bool().Draw(t, "late"),
			Issued: rapid.SliceOfN(text, 0, 3).Draw(t, "issued"), Notes: rapid.SliceOfN(text, 0, 3).Draw(t, "notes"),
			Reason: text.Draw(t, "reason"), State: text.Draw(t, "state"),
			Asked: asked(rapid.Uint64().Draw(t, "asked")), Schema: number.Draw(t, "schema"),
		}
		if rapid.Bool().Draw(t, "upcast") {
			d.Upcast = raw.Draw(t, "the state upcast")
		}
		want, err = json.Marshal(&d)
		require.NoError(t, err)
		require.Equal(t, string(want), string(encodeTold(&d)))
	})
}
