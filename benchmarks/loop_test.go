package benchmarks

import "context"

// channel is a goroutine that reads a channel with as much room as rondo's
// mailbox. What is not the same: work off the loop is a goroutine each, whose
// result waits like any other message when the channel is full. There are no
// causes, keys or cancellation of what is under way.
type channel struct {
	in    chan action
	ended chan int // the count
}

func newChannel(s state) loop { return startChannel(s) }

func startChannel(s state) channel {
	c := channel{in: make(chan action, 4096), ended: make(chan int)}
	go c.run(s)
	return c
}

func (c channel) run(s state) {
	for a := range c.in {
		for again := true; again; {
			again = false
			switch s.step(a) {
			case nothing:
			case feedback:
				a, again = inc{}, true
			case request:
				n := s.n
				go func() { c.in <- got{work(n)} }()
			case respond:
				a.(question).to <- s.n
			}
		}
	}
	c.ended <- s.n
}

func (c channel) repeat(n int, a action) {
	for range n {
		c.in <- a
	}
}

func (c channel) repeatContext(ctx context.Context, n int, a action) {
	for range n {
		select {
		case c.in <- a:
		case <-ctx.Done():
			must(ctx.Err())
		}
	}
}

// Each question brings its own channel, as one that waits for several must.
func (c channel) ask(n int) (last int) {
	for range n {
		to := make(chan int, 1)
		c.in <- question{to}
		last = <-to
	}
	return last
}

func (c channel) stop() int {
	close(c.in)
	return <-c.ended
}

type channelKeyed map[int]channel

func newChannelKeyed(initial func(key int) state) keyedLoop {
	k := make(channelKeyed, keys)
	for key := range keys {
		k[key] = startChannel(initial(key))
	}
	return k
}

func (k channelKeyed) walk(key, n int, a action) {
	for range n {
		k[key].in <- a
		key = following(key)
	}
}

func (k channelKeyed) stop() (sum int) {
	for _, c := range k {
		sum += c.stop()
	}
	return sum
}
