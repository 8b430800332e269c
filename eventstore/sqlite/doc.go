// Package sqlite is an event store in one file: embedded, durable, with nothing
// to install. SQLite is compiled to Go (modernc.org/sqlite), so no C compiler is
// needed. It has all that the contract of package eventstore knows,
// [eventstore.Lookup], [eventstore.Claims], [eventstore.Snapshots],
// [eventstore.Checkpoints] and [eventstore.Keys] included.
//
//	store, err := sqlite.Open(ctx, "shop.db", sqlite.Config{})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//
// # Durability
//
// What Append has returned survives the end of the process and, unless
// [Config].Durability says otherwise, the loss of power: each commit waits until
// the disk has it. This goes as far as the disk and its drivers tell the truth.
// An append of several streams is there whole or not at all, also after a crash.
//
// # Group commit
//
// Waiting for the disk is what an append costs. Appends that come while one is
// being committed wait for it, and are then committed together: one transaction,
// one wait, and for each its own verdict. A conflict, a duplicate or a taken
// idempotency key of one is not noticed by its neighbours. Who appends alone waits
// for nobody.
//
// # Positions
//
// SQLite lets one writer at a time into a file, so positions are given in the
// order of the commits, whichever process commits: a reader at a position has
// missed nothing before it.
//
// # Other tables in the same transaction
//
// The file may have tables of the application, such as read models. [Store.InTx]
// runs statements on them in the committer's transaction, and [Store.AppendTx] and
// [Store.SaveCheckpointTx] append and save a checkpoint in it, so that all of it
// happens or nothing:
//
//	err := store.InTx(ctx, func(tx *sql.Tx) error {
//		if _, err := tx.ExecContext(ctx, `UPDATE seats SET held = held + 1 WHERE section = 'A'`); err != nil {
//			return err
//		}
//		_, err := store.AppendTx(ctx, tx, held)
//		return err
//	})
//
// Names that begin with rondo_ are the store's. Its tables, described in the
// migrations, may be read by anybody.
//
// # Schema
//
// Open brings the schema up by plain SQL migrations, in one transaction, which is
// safe when several programs open a file at once. Which have been made is in the
// table rondo_schema_version; a file of a newer program is a [*SchemaError].
//
// # Errors
//
// What SQLite or the disk refuses is an [*Error], with a sentinel for what can be
// told: [ErrFull], [ErrLocked], [ErrReadOnly] and others. Nothing was written, and
// the store works again when the cause is gone. If a disk fails while it is told to
// keep a commit, an append is an [*eventstore.UnknownOutcomeError]. An event whose
// row was damaged by hand is an [*eventstore.DataError] that names it.
//
// # Handling the file
//
// Beside the file are, while it is open, two more with the suffixes -wal and -shm.
// They belong to it: copy it with the backup command of the sqlite3 shell or with
// VACUUM INTO. They are made with the permissions that the process gives new files.
// A network file system will not do. Do not open the file by other
// means in a process that has the store open: on most systems closing a file drops
// the locks that the process has on it, SQLite's too. Do not remove it or put another
// in its place either: what has it open goes on writing to the one that is gone.
//
// # Concurrency
//
// All methods may be called from any goroutine, and several stores, in one process
// or several, may have the same file.
//
// Appends are committed by one goroutine, or by the caller's own if nothing else is
// going on. An append that waits to be committed can be given up: if its context
// ends, nothing is written. While it is being committed its caller waits for what
// becomes of it, if not for long; then the error is an
// [*eventstore.UnknownOutcomeError]. While another process writes, the committer
// asks for SQLite's lock until [Config].BusyTimeout has passed.
//
// Reads do not wait for appends, nor appends for reads. They go in pages, each of
// which is what had been committed when it was read, and hold nothing while the
// caller handles the events: at most a few hundred, or about a megabyte, are in
// memory. A context that ends interrupts a read.
//
// A subscription reads on its caller's goroutine. While it has read everything it
// waits; appends of the same store wake it at once, and one goroutine looks every
// [Config].PollInterval whether another process has appended, if anybody waits.
package sqlite
