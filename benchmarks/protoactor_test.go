package benchmarks

import (
	"io"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/router"
)

// protoactor's defaults. What is not the same:
//   - The mailbox has no bound, so senders never wait and what they are ahead of
//     the actor is kept in memory: see B/op.
//   - Work off the loop is done by a pool of 64 actors behind a round-robin
//     router.
//   - Feedback is a message to self: it goes to the mailbox's end, behind what
//     others have sent.
//   - Send takes no context.
//   - A reply cannot be cancelled but for a timeout, which is left out, since the
//     others have none here.
type protoLoop struct {
	pid   *actor.PID
	actor *protoActor
}

// One system for all, as in a program; it cannot be waited for when it ends.
var system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
	return slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))
}))

type protoActor struct {
	state   state
	workers *actor.PID
}

func (p *protoActor) Receive(ctx actor.Context) {
	switch p.state.step(ctx.Message()) {
	case nothing:
	case feedback:
		ctx.Send(ctx.Self(), inc{})
	case request:
		ctx.Request(p.workers, double{p.state.n})
	case respond:
		ctx.Respond(answer{p.state.n})
	}
}

func newProto(s state) loop {
	l := startProto(s)
	if s.left > 0 {
		l.actor.workers = system.Root.Spawn(router.NewRoundRobinPool(64, actor.WithFunc(func(ctx actor.Context) {
			if q, ok := ctx.Message().(double); ok {
				ctx.Respond(got{work(q.N)})
			}
		})))
	}
	return l
}

func startProto(s state) *protoLoop {
	l := &protoLoop{actor: &protoActor{state: s}}
	l.pid = system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return l.actor }))
	return l
}

func (l *protoLoop) repeat(n int, a action) {
	for range n {
		system.Root.Send(l.pid, a)
	}
}

const noTimeout = -1

func (l *protoLoop) ask(n int) (last int) {
	for range n {
		v, err := system.Root.RequestFuture(l.pid, question{}, noTimeout).Result()
		must(err)
		last = v.(answer).N
	}
	return last
}

func (l *protoLoop) stop() int {
	must(system.Root.PoisonFuture(l.pid).Wait())
	if l.actor.workers != nil {
		system.Root.Stop(l.actor.workers) // a router's stop waits for it
	}
	return l.actor.state.n
}

type protoKeyed map[int]*protoLoop

func newProtoKeyed(initial func(key int) state) keyedLoop {
	k := make(protoKeyed, keys)
	for key := range keys {
		k[key] = startProto(initial(key))
	}
	return k
}

func (k protoKeyed) walk(key, n int, a action) {
	for range n {
		system.Root.Send(k[key].pid, a)
		key = following(key)
	}
}

func (k protoKeyed) stop() (sum int) {
	for _, l := range k {
		sum += l.stop()
	}
	return sum
}
