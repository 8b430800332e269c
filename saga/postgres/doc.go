// Package postgres is a home for sagas in a PostgreSQL database, through pgx. It is
// tested with PostgreSQL 15. Any number of processes may use one database, and an
// event store may be in the same.
//
//	home, err := postgres.Open(ctx, "postgres://app@db/shop", postgres.Config{})
//	if err != nil {
//		return err
//	}
//	defer home.Close()
//	runner, err := saga.New(home, saga.Config{Handlers: handlers}, Reservation)
//
// [New] opens it on a pool that the application has already.
//
// # Schema
//
// Everything is in the schema rondo, in tables whose names begin with saga, made by
// the SQL files of the folder migrations, which are written to be read. The command
//
//	go run github.com/seed57833328/rondo/cmd/rondo migrate --db URL
//
// runs them, as do [Migrate] and [Config].AutoMigrate; many processes may do so at
// once. Opening a database of another version is a [*SchemaVersionError]. The heads of
// the files say which rights a role needs that does not own the schema. The database's
// encoding must be UTF8. What package eventstore/postgres says of poolers holds here.
//
// The tenant is part of a saga's id, and nothing else: a runner works for all
// tenants, and so does its role. Names are compared byte for byte.
//
// # Decisions
//
// A decision replaces the saga's row and adds a line of history, in one statement
// and one round trip, if the row is at the sequence expected and the lease has the
// epoch expected. Decisions that are committed together are one statement too, with
// a verdict for each. The epoch is looked at and not locked: a decision may be
// committed at the very moment at which the lease changes hands, as if just before.
// Whoever has the shard then finds it by the sequence.
//
// When the connection is lost in the midst of a commit it is not known what became
// of it. The row tells: [saga.Record].Commit is that of the last commit.
//
// A row is small and replaced often. Pages are filled to 50 %, and what indexes are
// made of changes seldom, so that most new rows are written beside the old, and
// touch no index: a due time that is none any more stays in the row while the saga is
// worked on, marked as one that does not count (undue = sequence). Autovacuum is set to
// come more often than it does by default.
//
// # What is due
//
// There is an index by shard and time. Finding what is due next reads a few entries
// of it for each shard, however many sagas sleep. Those that have work to do at
// once, those that wait for an operator and those that have ended have small
// indexes of their own.
//
// # Effects that commit with their key
//
// [HandleTx] makes a handler of a function that is given a transaction. The key of
// the effect, what the function writes and what it returns are committed together:
// such an effect is done exactly once. A repetition is answered with what was kept.
//
//	postgres.HandleTx(pool, func(ctx context.Context, tx pgx.Tx, q HoldSeats) ([]string, error) {
//		rows, err := tx.Query(ctx, `UPDATE seats SET held_by = $1 WHERE …`, saga.EffectID(ctx))
//		…
//	})
//
// With the home in place of the pool, or the pool that [New] was given, and without
// middleware, a decision and the effects that it begins are one commit, and so on with
// those that follow: see [saga.Transactional]. Locks are held until then.
//
// # Purging
//
// What has ended stays until [Store.Purge] forgets it, with its history, its
// messages and what its effects have come to.
//
// # Errors
//
// What PostgreSQL refuses, and the way to it, is an [*Error] with a reason in plain
// words, the server's code, and whether the same may succeed later. Transactions
// that collide, as they may where the database isolates more than READ COMMITTED by
// default, are tried again.
//
// # Concurrency
//
// All methods may be called from any goroutine. A home has two goroutines of its
// own, and Close waits for them.
//
// Order. Commits of one saga are made in the order of their sequences. A message
// has a higher position than all whose Post had returned; those that are posted at
// the same time may be seen in either order.
//
// Visibility. What a method has returned is seen by calls in all processes that
// begin afterwards.
//
// Batches. A runner has at most 4 commits on their way, unless [saga.Config].Commits
// says otherwise. What comes meanwhile is committed together.
//
// Blocking. Each call takes a connection, for as long as the statement takes.
// Commits that have a saga in common wait for each other, and those that cross are
// tried again. Joining, claiming and leaving wait for one another, under an
// advisory lock; they are seldom.
//
// Waking. [Store.Wake] takes a connection of its own, to listen. Messages, leases
// and pauses are notified of, apart from their transactions, which a notification
// would make wait for one another; at most one goes out every 10 ms. It carries the
// name of the home that sends it, and nothing of what it is about. One that is lost,
// as the process ended before it was sent, is made up for by [saga.Config].Poll.
package postgres
