// Package postgres is an event store in a PostgreSQL database, through pgx. It is
// tested with PostgreSQL 15. It has all that the contract of package eventstore
// knows, [eventstore.Lookup], [eventstore.Claims], [eventstore.Snapshots],
// [eventstore.Checkpoints] and [eventstore.Keys] included, and any number of
// processes may use one database.
//
//	store, err := postgres.Open(ctx, "postgres://app@db/shop", postgres.Config{})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//
// [New] opens it on a pool that the application has already.
//
// # Schema
//
// Everything is in the schema rondo, made by the SQL files of the folder
// migrations, which are written to be read. The database's encoding must be UTF8.
// The command
//
//	go run github.com/seed57833328/rondo/cmd/rondo migrate --db URL
//
// runs them, as do [Migrate] and [Config].AutoMigrate; many processes may do so
// at once. Opening a database of another version is a [*SchemaVersionError]. The
// heads of the files say which rights a role needs that does not own the schema.
//
// # Appending
//
// While few appends are in flight each is committed by itself, in one statement
// and one round trip. Beyond [Config].DirectAppends they wait for one another:
// two committers take what there is and commit it together, again in one round
// trip, each append with a verdict of its own. Of appends to one stream no two are
// committed at the same time by one process, so a hot stream is committed in
// batches too. An append that another process was faster than is decided anew, on
// what that has left. Conflicts and duplicates take a second round trip.
//
// [Store.AppendTx] appends in a transaction of the caller's, with his own tables,
// and [Store.SaveCheckpointTx] saves a checkpoint in one; [Store.InTx] runs one.
//
// # Positions
//
// Positions come from a sequence, so appends do not wait for each other, and
// commit in another order than that in which they drew theirs. A reader must not
// go past one that is still to come. This is held by a lock watermark:
//
//   - Who appends reads the last position L that was drawn, then takes a shared
//     advisory lock with the key L until the end of his transaction, and only
//     then draws positions p > L.
//   - Who reads takes the last position H that was drawn, then the least key K
//     among the locks that are held, and then, in a statement of its own, with a
//     new snapshot, reads up to the lesser of H and K.
//
// Then he has seen every event at or below that mark there will ever be. Let
// w = min(H, K), and let p <= w be the position of an event, drawn by T. As p <= H,
// and the sequence ascends, p had been drawn when H was read, and T had its lock
// before that. When the locks were looked at, later, T either still had it: then
// K <= L < p, and p <= w is false. Or it did not, so T had ended. If it rolled back
// there is no such event; if it committed it did so before it gave the lock up,
// which PostgreSQL does last, and the snapshot that was taken later sees it.
//
// Each step matters. With the lock after the draw, T may be without it when the
// locks are looked at. With one snapshot for both, or one taken before the locks
// were looked at (REPEATABLE READ), T may commit in between and not be seen. With
// K before H, T may take its lock and draw in between. Package gapsafe tries these.
//
// A position that was drawn and not used is a gap and blocks nothing: its lock
// ended with its transaction. A long transaction that does not append, here or in
// another database, delays nothing, as it has no such lock. A savepoint that is
// rolled back gives its lock up along with its events, and a prepared transaction
// keeps it. The key has a prefix of 16 bits and is of mode share, so that other
// users of advisory locks are not taken for appends. Positions are in a column and
// survive a dump. Within a stream they ascend with the versions: who finds version
// v committed draws after its writer drew.
//
// What readers are told, and remember, is never more than the position of an event
// that is there. For a position that was drawn in vain just before a crash may be
// drawn again: the log of the sequence is written with the next commit.
//
// [Store.Head] and [Store.ReadAll] promise what was appended before they were
// called, so they wait while an append is in flight that has a lower position.
// That is as long as a commit takes, unless a transaction of [Store.AppendTx] is
// kept open.
//
// # Replication and failover
//
// Positions are as durable as events. With synchronous_commit off, or after a
// failover to a standby that had not received all (synchronous_commit set to
// local, or no synchronous standby), the last events can be lost, and their
// positions given to others: then whoever has read them will not see the others.
// Subscriptions with a checkpoint should be reset to before the failover.
//
// Streams can be read on a standby. Head and ReadAll refuse one, which does not
// know the locks of its primary, and a subscription waits until it is promoted;
// [Hooks].Retrying is told.
//
// # Subscriptions
//
// A store has one goroutine that asks how far the log can be read, for all its
// subscriptions. It is woken by the store's own appends, by NOTIFY of other
// processes, for which the first subscription takes a connection of its own, and,
// as the net, every [Config].PollInterval. Notifications have no payload and are
// not part of the append's transaction, which they would make wait for others; at
// most one goes out every 10 ms. Lost connections and restarts of the server do
// not end a subscription; [Hooks].Retrying is told.
//
// # Poolers
//
// Behind a pooler that gives connections to transactions, such as PgBouncer, and
// keeps no prepared statements, the URL needs default_query_exec_mode=exec. Nothing
// that the store does outlasts a transaction but two things, which need a way past
// the pooler: [Migrate], and notifications, without which processes learn of what
// others append by [Config].PollInterval.
//
// # Tenants
//
// Besides the condition in each statement there is row-level security, forced, so
// that it holds for the tables' owner. The tenant is set for a transaction; when
// it ends the connection is nobody's again, and a query on rondo.events gives
// nothing. Events are read and appended: no policy lets them be changed or
// deleted. Superusers and roles with BYPASSRLS are exempt, as PostgreSQL has it,
// so an application should be neither; pg_dump has to be run by one that is. With
// the setting row_security off every call fails, and says so.
//
// # Errors
//
// What PostgreSQL refuses, and the way to it, is an [*Error] with a reason in plain
// words, the server's code, and whether the same may succeed later. A connection
// that is lost before anything was sent is one of these. When it is lost in the
// middle of a commit, or the context ends there, the error is an
// *[eventstore.UnknownOutcomeError]: [Store.Lookup] tells what became of it, and
// waits for what the server may still be committing; appending the same events
// again is safe too.
//
// # Concurrency
//
// All methods may be called from any goroutine, but for those that are given a
// transaction, which is for one goroutine. A store has five goroutines of its own,
// and Close waits for them.
//
// Order. Appends of one caller are committed in the order in which he makes them.
// Those that wait are committed in the order in which they came, but for those
// that have to wait for a stream.
//
// Visibility. What Append has returned is seen by reads of all processes that
// begin afterwards. A subscription sees it when no append is in flight any more
// that has a lower position.
//
// Blocking. Append waits for a connection and for the commit. A read takes a
// connection for a page of at most 4,096 events and gives it back before these are
// handed out, so that whoever reads may append, and may be slow; it holds no lock
// that an append waits for. Data of more than 4 kB is read when its turn has come,
// 4 MB at a time.
package postgres
