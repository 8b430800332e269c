package sqlitefile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Job is something to be written, by [File.Submit]. Its caller waits for Done.
type Job struct {
	// Run does the job's part in a transaction. A verdict is the job's own
	// failure: it has written nothing, and what it was told does not concern
	// others. After an err nothing is known of the transaction, and it is rolled
	// back. It may be called again, in another transaction.
	Run func(w *Writer, now time.Time) (verdict, err error)
	// Unsure turns the failure of a commit that may have happened into the job's
	// error. If it is nil the failure is that.
	Unsure func(error) error
	// Bytes is about how much is written, 0 if that is little.
	Bytes int

	number uint64 // of the queue
	state  atomic.Int32
	// aborted tells that the job's caller is gone for good.
	aborted bool
	verdict error
	done    chan struct{}
}

// Done is closed when it is known what became of a job that was submitted.
func (j *Job) Done() <-chan struct{} { return j.done }

// Verdict is what became of a job that is done: the verdict of Run or what failed.
func (j *Job) Verdict() error { return j.verdict }

const (
	queued    = iota
	taken     // the committer's: the caller waits for what becomes of it
	withdrawn // the caller's: the committer passes over it
)

// Withdraw takes back a job that is still queued, and tells whether it was.
func (j *Job) Withdraw() bool { return j.state.CompareAndSwap(queued, withdrawn) }

// take makes the job the committer's, if it was not withdrawn.
func (j *Job) take() bool {
	return j.state.CompareAndSwap(queued, taken) || j.state.Load() == taken
}

// maxBatchBytes bounds what is committed together, besides Options.MaxBatch. A
// single job may have more.
const maxBatchBytes = 16 << 20

// queue has the jobs that wait to be committed.
type queue struct {
	mu     sync.Mutex
	jobs   []*Job
	last   uint64        // number of the last job
	busy   bool          // somebody commits
	closed error         // why no more are taken
	filled chan struct{} // has something when run should look
}

// add queues a job. If nobody commits and nothing waits, it makes the caller the
// committer instead, for that job.
func (q *queue) add(j *Job, canCommit bool) (alone bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return false, q.closed
	}
	if canCommit && !q.busy && len(q.jobs) == 0 {
		q.busy = true
		return true, nil
	}
	q.last++
	j.number = q.last
	q.jobs = append(q.jobs, j)
	q.signal()
	return false, nil
}

// free ends what add or wait has begun.
func (q *queue) free() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = false
	if q.closed != nil || len(q.jobs) > 0 {
		q.signal()
	}
}

func (q *queue) close(reason error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = reason
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// wait makes its caller the committer when there are jobs. It returns false when
// there are none, and never will be.
func (q *queue) wait() bool {
	for {
		q.mu.Lock()
		q.dropWithdrawn()
		free := !q.busy
		waits, closed := len(q.jobs) > 0, q.closed != nil
		q.busy = q.busy || waits
		q.mu.Unlock()
		if free && (waits || closed) {
			return waits
		}
		<-q.filled
	}
}

// dropWithdrawn forgets jobs that are not queued any more; the mutex is held.
func (q *queue) dropWithdrawn() {
	kept := q.jobs[:0]
	for _, j := range q.jobs {
		if j.state.Load() == queued {
			kept = append(kept, j)
		}
	}
	clear(q.jobs[len(kept):])
	q.jobs = kept
}

// waiting says how many jobs wait, and which number the last has.
func (q *queue) waiting() (n int, last uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropWithdrawn()
	return len(q.jobs), q.last
}

// next takes the jobs that have waited longest, as many as go together.
func (q *queue) next(batch []*Job, most int) []*Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropWithdrawn()
	n, size := 0, 0
	for n < len(q.jobs) && n < most && (n == 0 || size+q.jobs[n].Bytes <= maxBatchBytes) {
		size += q.jobs[n].Bytes
		n++
	}
	batch = append(batch, q.jobs[:n]...)
	rest := copy(q.jobs, q.jobs[n:])
	clear(q.jobs[rest:])
	q.jobs = q.jobs[:rest]
	return batch
}

// Writer is the committer. It has the store's one connection that writes, and
// commits what the others want written; one goroutine at a time works for it.
// That is run's, but a caller who finds nothing going on commits his job himself:
// alone, a job is hardly more than its statements.
//
// The committer first takes SQLite's write lock, and then all jobs that wait.
// While it waits for the lock, which another process may have, callers can still
// withdraw them. So what is committed together is what came during the commit
// before.
type Writer struct {
	name    Name
	pool    *sql.DB // of one connection
	queue   queue
	timeout time.Duration
	most    int
	now     func() time.Time
	// committed is called after each commit in which there was news.
	committed func()
	news      atomic.Bool
	// scrub is set by what must not be found in SQLite's log any more.
	scrub    bool
	scrubbed time.Time // when that was tried last

	held    *sql.Conn // the connection, for database/sql
	conn    *Conn     // and for us
	wounded bool
	batch   []*Job
	ended   chan struct{}
}

// Conn is the connection, in a transaction.
func (w *Writer) Conn() *Conn { return w.conn }

// Scrub asks that what the transaction deletes is not found in SQLite's log any
// more.
func (w *Writer) Scrub() { w.scrub = true }

// connect makes sure that there is a sound connection.
func (w *Writer) connect(ctx context.Context) error {
	if w.held != nil && !w.wounded {
		return nil
	}
	if w.held != nil {
		w.disconnect()
	}
	held, err := w.pool.Conn(ctx)
	if err != nil {
		return w.name.wrap(err)
	}
	var c *Conn
	if err := held.Raw(func(driverConn any) error {
		c = driverConn.(*Conn)
		return nil
	}); err != nil {
		return errors.Join(w.name.wrap(err), held.Close())
	}
	w.held, w.conn, w.wounded = held, c, false
	return nil
}

// disconnect closes the connection.
func (w *Writer) disconnect() {
	if w.held == nil {
		return
	}
	// The pool drops a connection that says it is bad.
	_ = w.held.Raw(func(any) error { return driver.ErrBadConn }) // it returns just that
	_ = w.held.Close()                                           // it is closed already
	w.held, w.conn = nil, nil
}

// run commits until the queue is closed and empty.
func (w *Writer) run() {
	defer close(w.ended)
	someoneWaits := func() bool { n, _ := w.queue.waiting(); return n > 0 }
	for w.queue.wait() {
		_, last := w.queue.waiting()
		if err := w.lock(someoneWaits); err != nil {
			w.refuse(last, err)
		} else {
			w.batch = w.queue.next(w.batch[:0], w.most)
			w.commit(w.batch)
			n := len(w.batch)
			clear(w.batch)
			w.gather(n)
		}
		w.queue.free()
	}
}

// do commits a job on its caller's goroutine.
func (w *Writer) do(ctx context.Context, j *Job) {
	defer w.queue.free()
	err := w.lock(func() bool { return ctx.Err() == nil })
	if err == nil && ctx.Err() == nil {
		w.together([]*Job{j})
		return
	}
	if err == nil {
		w.rollback(nil)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	j.verdict = err
	close(j.done)
}

// gather lets the callers whose jobs were just committed add their next before
// the lock is taken again. Without it, of many callers one would be committed
// alone and all others together after it, in turns. Who is alone is not waited
// for.
func (w *Writer) gather(committed int) {
	const rounds = 4
	waiting, _ := w.queue.waiting()
	if committed+waiting <= 1 {
		return
	}
	for range rounds {
		runtime.Gosched()
		n, _ := w.queue.waiting()
		if n == waiting {
			return
		}
		waiting = n
	}
}

// lock begins a transaction that has SQLite's write lock.
func (w *Writer) lock(wanted func() bool) error {
	if err := w.connect(context.Background()); err != nil {
		return err
	}
	return retryBusy(w.timeout, wanted, func() error {
		err := w.conn.control("BEGIN IMMEDIATE")
		w.wounded = isWounded(err)
		return err
	})
}

// retryBusy does something again and again while another process has the lock
// that it needs, until the timeout has passed or it is not wanted any more.
// SQLite has no queue for its locks, and its own busy handler asks so seldom that
// a busy process could keep others out.
func retryBusy(timeout time.Duration, wanted func() bool, do func() error) error {
	const (
		first = 50 * time.Microsecond
		most  = 2 * time.Millisecond
	)
	var begin time.Time
	for pause := first; ; pause = min(2*pause, most) {
		err := do()
		if !isBusy(err) {
			return err
		}
		if begin.IsZero() {
			begin = time.Now()
		}
		if time.Since(begin) >= timeout || !wanted() {
			return err
		}
		time.Sleep(pause/2 + rand.N(pause))
	}
}

// refuse fails the jobs up to that number.
func (w *Writer) refuse(last uint64, err error) {
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	for _, j := range w.queue.jobs {
		if j.number <= last && j.take() {
			j.verdict = err
			close(j.done)
		}
	}
	w.queue.dropWithdrawn()
}

// commit does the jobs in the transaction that was begun, and commits them. What
// cannot be done together is done one by one.
func (w *Writer) commit(batch []*Job) {
	var err error
	for _, j := range w.together(batch) {
		if err == nil {
			err = w.lock(func() bool { return true })
		}
		if err != nil { // and who comes after does not wait as long once more
			j.verdict = err
			close(j.done)
			continue
		}
		w.together([]*Job{j})
	}
}

// together does the jobs in the transaction that was begun, commits them, and
// tells their callers. It returns those that must be done again alone, as the
// transaction failed, which may have been another's fault.
func (w *Writer) together(batch []*Job) (again []*Job) {
	now := w.now()
	mine := batch[:0:0]
	var failure error
	for _, j := range batch {
		if !j.take() {
			continue
		}
		mine = append(mine, j)
		verdict, err := j.Run(w, now)
		if j.verdict = verdict; err != nil {
			failure = err
			break
		}
	}
	if failure == nil {
		if failure = w.conn.control("COMMIT"); failure == nil {
			if w.news.Swap(false) {
				w.committed()
			}
			w.clean()
			for _, j := range mine {
				close(j.done)
			}
			return nil
		}
		if isUnsure(failure) {
			return w.unsure(mine, failure)
		}
	}
	w.rollback(failure)
	if len(batch) > 1 {
		for _, j := range batch {
			if j.aborted {
				close(j.done)
			} else if j.take() {
				again = append(again, j)
			}
		}
		return again
	}
	for _, j := range mine {
		if j.verdict == nil {
			j.verdict = failure
		}
		close(j.done)
	}
	return nil
}

// clean has SQLite begin its log anew after something was deleted for good. A
// reader may be in the way, and then it is tried again after another commit.
func (w *Writer) clean() {
	const again = time.Second
	if !w.scrub || time.Since(w.scrubbed) < again {
		return
	}
	w.scrubbed = time.Now()
	blocked := int64(1)
	_, err := First(context.Background(), w.conn, func(row []driver.Value) error {
		return Scan(row[:1], &blocked)
	}, `PRAGMA wal_checkpoint(TRUNCATE)`)
	w.scrub = err != nil || blocked != 0
}

// unsure tells the callers of a commit that failed and yet may have happened.
// Whoever has a verdict wrote nothing, but it may rest on what others wrote.
func (w *Writer) unsure(batch []*Job, failure error) (again []*Job) {
	w.rollback(failure)
	w.committed() // if it has happened, readers should look
	for _, j := range batch {
		switch {
		case j.verdict != nil && !j.aborted && len(batch) > 1:
			again = append(again, j)
			continue
		case j.verdict == nil && j.Unsure != nil:
			j.verdict = j.Unsure(failure)
		case j.verdict == nil:
			j.verdict = failure
		}
		close(j.done)
	}
	return again
}

// rollback ends a transaction that failed. SQLite may have rolled it back by
// itself.
func (w *Writer) rollback(failure error) {
	w.news.Store(false)
	if err := w.conn.control("ROLLBACK"); err != nil && isWounded(err) || isWounded(failure) {
		w.wounded = true
	}
}

// close closes the connection, when run has ended.
func (w *Writer) close() error {
	w.disconnect()
	return w.pool.Close()
}
