package saga_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
)

// quiet are handlers that do nothing; with decline the card is declined.
func quiet(decline bool) []effect.Handler {
	return []effect.Handler{
		effect.Handle(func(context.Context, HoldSeats) ([]string, error) { return []string{"A1", "A2"}, nil }),
		effect.Handle(func(context.Context, ReleaseSeats) (struct{}, error) { return struct{}{}, nil }),
		effect.Handle(func(context.Context, Charge) (struct{}, error) {
			if decline {
				return struct{}{}, saga.Rejected(errDeclined)
			}
			return struct{}{}, nil
		}),
		effect.Handle(func(context.Context, Refund) (struct{}, error) { return struct{}{}, nil }),
		effect.Handle(func(context.Context, ConfirmSeats) (struct{}, error) { return struct{}{}, nil }),
	}
}

// BenchmarkSaga runs sagas of three steps over the home in memory, from the start
// to the end: reserve, charge, confirm; or reserve, charge (declined), release.
func BenchmarkSaga(b *testing.B) {
	for _, way := range []string{"happy", "compensated"} {
		for _, clients := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", way, clients), func(b *testing.B) {
				runner, err := saga.New(memory.New(memory.Config{}), saga.Config{Handlers: quiet(way != "happy")}, Reservation)
				require.NoError(b, err)
				ended := make(chan error, 1)
				go func() { ended <- runner.Run(context.Background()) }() //nolint:usetesting // it outlives the context of the test, or of its bubble
				_, err = runner.Start(b.Context(), Reservation.ID("first"), Reserve{Quantity: 2})
				require.NoError(b, err)
				var n atomic.Int64
				b.ReportAllocs()
				b.ResetTimer()
				cpu := cpuTime(b)
				done := make(chan error, clients)
				for range clients {
					go func() {
						for {
							i := n.Add(1)
							if i > int64(b.N) {
								done <- nil
								return
							}
							h, err := runner.Start(context.Background(), Reservation.ID(strconv.FormatInt(i, 10)), Reserve{Quantity: 2}) //nolint:usetesting // it outlives the context of the test, or of its bubble
							if err == nil {
								_, err = h.Wait(context.Background()) //nolint:usetesting // it outlives the context of the test, or of its bubble
							}
							if err != nil {
								done <- err
								return
							}
						}
					}()
				}
				for range clients {
					require.NoError(b, <-done)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sagas/s")
				b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/saga")
				b.StopTimer()
				require.NoError(b, runner.Shutdown(context.Background())) //nolint:usetesting // it outlives the context of the test, or of its bubble
				require.NoError(b, <-ended)
			})
		}
	}
}

// cpuTime is what the process has used of its processors, which says more than
// the clock on a machine that others use too.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSleepers has many sagas sleep, and tells how many of them are in memory
// besides what the home keeps, how many goroutines there are, and how long it takes
// to find the one that is due first.
func BenchmarkSleepers(b *testing.B) {
	for _, sleepers := range []int{1_000, 100_000} {
		b.Run(strconv.Itoa(sleepers), func(b *testing.B) {
			home := memory.New(memory.Config{})
			runner, err := saga.New(home, saga.Config{Handlers: counterHandlers(nil), Resident: 50 * time.Millisecond}, counter)
			require.NoError(b, err)
			ended := make(chan error, 1)
			go func() { ended <- runner.Run(b.Context()) }()
			for i := range sleepers {
				_, err := runner.Start(b.Context(), counter.ID(strconv.Itoa(i)), later{Minutes: 600})
				require.NoError(b, err)
			}
			require.Eventually(b, func() bool { return saga.Live(runner) == 0 }, time.Minute, 10*time.Millisecond)
			b.ReportMetric(float64(saga.Live(runner)), "live")
			b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
			shards := make([]saga.Shard, saga.Shards)
			for i := range shards {
				shards[i] = saga.Shard{Type: "counter", Number: i}
			}
			b.ReportAllocs()
			for b.Loop() {
				_, err := home.Due(b.Context(), shards, saga.Due{}, 1)
				require.NoError(b, err)
			}
			b.StopTimer()
			require.NoError(b, runner.Shutdown(b.Context()))
			require.NoError(b, <-ended)
		})
	}
}
