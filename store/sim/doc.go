// Package sim is a simulated machine for live stores. On it a whole application
// of stores, handlers and the goroutines that use them runs on virtual time, one
// goroutine at a time, in an order drawn from a seed: the same seed gives the
// same run, an hour passes in milliseconds, and other seeds give other orders.
// The idea is FoundationDB's (Zhou et al., SIGMOD 2021).
//
//	err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
//		st, err := store.New(State{}, Reducer{}, store.Config{Runtime: rt, Handlers: handlers})
//		…
//		rt.Go(func() { st.Send(ctx, Open{}) })
//		store.Sleep(ctx, time.Hour)
//	})
//
// The stores are the live ones: nothing of the engine or the driver is replaced
// but time and goroutines. What takes part must take both from the simulation:
// handlers sleep with store.Sleep and the context they are given, goroutines are
// started with [Runtime.Go], and what waits waits for stores. A real sleep, a
// channel or a context with a real deadline is not seen by the simulation and
// makes it stand still or differ from run to run. Maps iterated where the order
// matters do so too.
package sim
