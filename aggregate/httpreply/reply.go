package httpreply

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
)

const (
	// HeaderVersion has the version of the aggregate.
	HeaderVersion = "Rondo-Version"
	// HeaderPosition has a position of the log, of an aggregate that of its last
	// event: read models that have come so far know of what the answer tells.
	HeaderPosition = "Rondo-Position"
	// HeaderReplayed is "true" if the command was done before with the same
	// idempotency key.
	HeaderReplayed = "Idempotent-Replayed"
)

// Error answers with problem details, as application/problem+json.
func Error(w http.ResponseWriter, r *http.Request, err error) {
	d := Of(err)
	if r != nil && r.URL != nil {
		d.Instance = r.URL.Path
	}
	d.write(w)
}

// Feedback answers with a status and a body, as JSON, and the feedback's version
// and position in headers. The body is what the caller is to see of the state; nil
// is none. A body that cannot be encoded is a 500, although the command was done.
func Feedback[S any](w http.ResponseWriter, status int, f aggregate.Feedback[S], body any) {
	h := w.Header()
	h.Set(HeaderVersion, strconv.FormatInt(int64(f.Version), 10))
	if f.Replayed {
		h.Set(HeaderReplayed, "true")
	}
	At(w, status, f.Position, body)
}

// At answers with what is no aggregate's state and has no version, such as how a
// saga stands, as JSON, and a position in a header: the log's head, read after
// what the body tells was known.
func At(w http.ResponseWriter, status int, p eventstore.Position, body any) {
	w.Header().Set(HeaderPosition, strconv.FormatInt(int64(p), 10))
	write(w, status, body)
}

// Receipt answers 202 Accepted with the receipt of a command that is queued or
// scheduled.
func Receipt(w http.ResponseWriter, r aggregate.Receipt) { write(w, http.StatusAccepted, r) }

func write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		d := Of(err)
		d.MaybeDone = true
		d.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader may be gone, nobody is left to tell
}
