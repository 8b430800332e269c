// Package httpreply answers HTTP requests with what a command has led to: its
// feedback, a receipt, or an error as problem details (RFC 9457).
//
//	got, err := sections.Execute(r.Context(), r.PathValue("id"), command)
//	if err != nil {
//		httpreply.Error(w, r, err)
//		return
//	}
//	httpreply.Feedback(w, http.StatusOK, got, got.State)
//
// # Statuses
//
//	422  a rejection, with its code and reason
//	409  a conflict, or an idempotency key that was used for another command
//	400  input that makes no sense
//	503  what may succeed a little later, with Retry-After
//	504  the caller's time was over, or the outcome could not be known
//	499  the caller has left
//	500  everything else, of which nothing is told
//
// An error with a method HTTPStatus() int says its own. Whoever was cut short is
// told with "maybeDone" whether the command may have been done.
//
// # Consistency
//
// A feedback's version and position are in the headers [HeaderVersion] and
// [HeaderPosition]: a caller that reads from a read model afterwards asks it for
// that position at least. A saga has no version, and its decisions are not in the
// log: [At] answers with the log's head, which is not below any event that the saga
// has led to so far.
//
// # Concurrency
//
// All functions may be called from any goroutine, as far as the ResponseWriter
// may.
package httpreply
