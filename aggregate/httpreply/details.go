package httpreply

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/store"
)

// StatusClientClosedRequest is for a caller who has left; nobody reads it but
// logs. It is what nginx uses.
const StatusClientClosedRequest = 499

// defaultRetryAfter is how long callers are told to wait.
const defaultRetryAfter = time.Second

// Details is a problem details object as RFC 9457 has it, with members of our own.
type Details struct {
	// Title says what kind of problem it is, Detail what it is about.
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Instance is the path of the request.
	Instance string `json:"instance,omitempty"`
	// Code is for programs: the rejection's, "conflict", "idempotency-key-reused",
	// "invalid-input", "unavailable", "timeout", "cancelled" or "internal".
	Code string `json:"code"`
	// Field is what is wrong, of invalid input.
	Field string `json:"field,omitempty"`
	// MaybeDone tells that the command may have been done all the same.
	MaybeDone bool `json:"maybeDone,omitempty"`
	// RetryAfter is when it makes sense to try again; 0 is never. It is a header.
	RetryAfter time.Duration `json:"-"`
}

// Of makes problem details of an error of package aggregate, or of any other.
// What is not known is a 500 that tells nothing of its inside.
func Of(err error) Details {
	d := of(err)
	if d.Title == "" {
		d.Title = http.StatusText(d.Status)
	}
	var cut *aggregate.InterruptedError
	if errors.As(err, &cut) {
		d.MaybeDone = cut.MaybeDone
	}
	return d
}

func of(err error) Details {
	var (
		rejection *aggregate.RejectionError
		reused    *aggregate.KeyReusedError
		conflict  *eventstore.ConflictError
		input     *eventstore.InputError
		cut       *aggregate.InterruptedError
		own       interface {
			error
			HTTPStatus() int
		}
	)
	unavailable := Details{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "try again a little later", RetryAfter: defaultRetryAfter}
	switch {
	case errors.As(err, &rejection):
		code := rejection.Code
		if code == "" {
			code = "rejected"
		}
		return Details{Title: "Rejected", Status: http.StatusUnprocessableEntity, Code: code, Detail: rejection.Reason}
	case errors.As(err, &reused):
		return Details{Status: http.StatusConflict, Code: "idempotency-key-reused", Detail: reused.Error()}
	case errors.As(err, &conflict):
		return Details{Status: http.StatusConflict, Code: "conflict", Detail: "others have changed it meanwhile"}
	case aggregate.IsInput(err) && errors.As(err, &input):
		return Details{Status: http.StatusBadRequest, Code: "invalid-input", Detail: input.Error(), Field: input.Field}
	case errors.Is(err, eventstore.ErrNoTenant):
		return Details{Status: http.StatusBadRequest, Code: "invalid-input", Detail: "it must be said which tenant it is for", Field: "tenant"}
	case errors.As(err, &own) && own.HTTPStatus() >= 400 && own.HTTPStatus() < 600:
		status := own.HTTPStatus()
		d := Details{Status: status, Code: "error", Detail: own.Error()}
		if status == http.StatusServiceUnavailable {
			d.Code, d.RetryAfter = unavailable.Code, defaultRetryAfter
		}
		return d
	case errors.Is(err, context.Canceled):
		return Details{Title: "Client Closed Request", Status: StatusClientClosedRequest, Code: "cancelled"}
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, effect.ErrTimeout):
		return Details{Status: http.StatusGatewayTimeout, Code: "timeout", Detail: "the time for the request was over"}
	case aggregate.Retryable(err), errors.Is(err, store.ErrClosed), errors.Is(err, eventstore.ErrClosed):
		return unavailable
	case errors.As(err, &cut):
		return Details{Status: http.StatusGatewayTimeout, Code: "timeout", Detail: "what became of it is not known"}
	}
	return Details{Status: http.StatusInternalServerError, Code: "internal"}
}

// write answers with the problem.
func (d Details) write(w http.ResponseWriter) {
	body, err := json.Marshal(d)
	if err != nil { // strings and numbers always can be
		body = []byte(`{"title":"Internal Server Error","status":500,"code":"internal"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if d.RetryAfter > 0 {
		seconds := (d.RetryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	w.WriteHeader(d.Status)
	_, _ = w.Write(append(body, '\n')) // the reader may be gone, nobody is left to tell
}
