package httpreply_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/aggregate/httpreply"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/workflow"
)

type passing struct{}

func (passing) Error() string   { return "no connection to 10.0.0.7" }
func (passing) Retryable() bool { return true }

type teapot struct{}

func (teapot) Error() string   { return "short and stout" }
func (teapot) HTTPStatus() int { return http.StatusTeapot }

type nonsense struct{ teapot }

func (nonsense) HTTPStatus() int { return 7 }

type behind struct{ passing }

func (behind) HTTPStatus() int { return http.StatusServiceUnavailable }

func TestErrors(t *testing.T) {
	t.Parallel()
	secret := errors.New("password is swordfish")
	for name, row := range map[string]struct {
		err    error
		status int
		body   string
		after  string
	}{
		"rejection": {
			aggregate.Reject("sold-out", "%d seats are left", 1), 422,
			`{"title":"Rejected","status":422,"detail":"1 seats are left","instance":"/sections/A","code":"sold-out"}`, "",
		},
		"rejection without code": {
			&aggregate.RejectionError{Reason: "no"}, 422,
			`{"title":"Rejected","status":422,"detail":"no","instance":"/sections/A","code":"rejected"}`, "",
		},
		"conflict": {
			&eventstore.ConflictError{Stream: "section-A", Expected: eventstore.Exactly(3), Actual: 4}, 409,
			`{"title":"Conflict","status":409,"detail":"others have changed it meanwhile","instance":"/sections/A","code":"conflict"}`, "",
		},
		"key": {
			&aggregate.KeyReusedError{Key: "k"}, 409,
			`{"title":"Conflict","status":409,"detail":"idempotency key \"k\" was used for another command","instance":"/sections/A","code":"idempotency-key-reused"}`, "",
		},
		"input": {
			&eventstore.InputError{Field: "id", Value: `""`, Want: "a name"}, 400,
			`{"title":"Bad Request","status":400,"detail":"id is \"\", want a name","instance":"/sections/A","code":"invalid-input","field":"id"}`, "",
		},
		"tenant": {
			eventstore.ErrNoTenant, 400,
			`{"title":"Bad Request","status":400,"detail":"it must be said which tenant it is for","instance":"/sections/A","code":"invalid-input","field":"tenant"}`, "",
		},
		"what passes": {
			passing{}, 503,
			`{"title":"Service Unavailable","status":503,"detail":"try again a little later","instance":"/sections/A","code":"unavailable"}`, "1",
		},
		"full":      {&workflow.FullError{Key: "A"}, 503, "", "1"},
		"shut down": {store.ErrClosed, 503, "", "1"},
		"cancelled": {
			&aggregate.InterruptedError{MaybeDone: true, Err: context.Canceled}, 499,
			`{"title":"Client Closed Request","status":499,"instance":"/sections/A","code":"cancelled","maybeDone":true}`, "",
		},
		"too late": {
			&aggregate.InterruptedError{Err: context.DeadlineExceeded}, 504,
			`{"title":"Gateway Timeout","status":504,"detail":"the time for the request was over","instance":"/sections/A","code":"timeout"}`, "",
		},
		"unknown outcome": {
			&aggregate.InterruptedError{MaybeDone: true, Err: effect.ErrTimeout}, 504,
			`{"title":"Gateway Timeout","status":504,"detail":"what became of it is not known","instance":"/sections/A","code":"timeout","maybeDone":true}`, "",
		},
		"unknown outcome with key": {
			&aggregate.InterruptedError{MaybeDone: true, Key: "k", Err: effect.ErrTimeout}, 503,
			`{"title":"Service Unavailable","status":503,"detail":"try again a little later","instance":"/sections/A","code":"unavailable","maybeDone":true}`, "1",
		},
		"one that says its own": {
			teapot{}, 418,
			`{"title":"I'm a teapot","status":418,"detail":"short and stout","instance":"/sections/A","code":"error"}`, "",
		},
		"one that says nonsense": {nonsense{}, 500, "", ""},
		"one that is behind":     {behind{}, 503, "", "1"},
		"anything else": {
			secret, 500,
			`{"title":"Internal Server Error","status":500,"instance":"/sections/A","code":"internal"}`, "",
		},
		"a mistake of the decider": {
			&aggregate.DeciderError{Func: "Decide", Of: "x", Err: secret}, 500,
			`{"title":"Internal Server Error","status":500,"instance":"/sections/A","code":"internal"}`, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			httpreply.Error(w, httptest.NewRequest(http.MethodPost, "/sections/A?x=y", http.NoBody), fmt.Errorf("section %q: %w", "A", row.err))
			require.Equal(t, row.status, w.Code)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.Equal(t, row.after, w.Header().Get("Retry-After"))
			if row.body != "" {
				require.Equal(t, row.body+"\n", w.Body.String())
			}
			var d httpreply.Details
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &d))
			require.Equal(t, row.status, d.Status)
			require.NotContains(t, w.Body.String(), "swordfish")
		})
	}
}

func TestFeedback(t *testing.T) {
	t.Parallel()
	type state struct{ Free int }
	f := aggregate.Feedback[state]{State: state{3}, Stream: "section-A", Version: 7, Position: 9_007_199_254_740_993}
	w := httptest.NewRecorder()
	httpreply.Feedback(w, http.StatusCreated, f, f.State)
	require.Equal(t, 201, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "7", w.Header().Get("Rondo-Version"))
	require.Equal(t, "9007199254740993", w.Header().Get("Rondo-Position"))
	require.Empty(t, w.Header().Get("Idempotent-Replayed"))
	require.JSONEq(t, `{"Free":3}`, w.Body.String())

	f.Replayed = true
	w = httptest.NewRecorder()
	httpreply.Feedback(w, http.StatusNoContent, f, nil)
	require.Equal(t, 204, w.Code)
	require.Equal(t, "true", w.Header().Get("Idempotent-Replayed"))
	require.Empty(t, w.Body.String())

	w = httptest.NewRecorder()
	httpreply.Feedback(w, http.StatusOK, f, func() {})
	require.Equal(t, 500, w.Code)
	require.Contains(t, w.Body.String(), `"maybeDone":true`)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
}

func TestAt(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	httpreply.At(w, http.StatusAccepted, 9_007_199_254_740_993, map[string]string{"phase": "paying"})
	require.Equal(t, 202, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, []string{"9007199254740993"}, w.Header()["Rondo-Position"])
	require.NotContains(t, w.Header(), "Rondo-Version")
	require.JSONEq(t, `{"phase":"paying"}`, w.Body.String())
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("00000000-0000-0000-0000-000000000007")
	w := httptest.NewRecorder()
	httpreply.Receipt(w, aggregate.Receipt{ID: id})
	require.Equal(t, 202, w.Code)
	require.JSONEq(t, `{"id":"00000000-0000-0000-0000-000000000007"}`, w.Body.String())
	w = httptest.NewRecorder()
	httpreply.Receipt(w, aggregate.Receipt{ID: id, Due: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	require.Contains(t, w.Body.String(), `"due":"2026-01-02T03:04:05Z"`)
}

func TestAgainstARealServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpreply.Error(w, r, aggregate.Reject("no", "%s", strings.Repeat("é", 10)))
	}))
	defer server.Close()
	resp, err := http.Head(server.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 422, resp.StatusCode)
	resp, err = http.Get(server.URL)
	require.NoError(t, err)
	var d httpreply.Details
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&d))
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "éééééééééé", d.Detail)
}
