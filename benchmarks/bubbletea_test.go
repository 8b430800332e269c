package benchmarks

import (
	tea "github.com/charmbracelet/bubbletea"
)

// bubbletea, headless. What is not the same:
//   - A Cmd runs on a goroutine of its own, and every Update hands its Cmd, nil
//     too, to another goroutine through a channel.
//   - Feedback is such a Cmd: there is none that stays in the loop. Others'
//     messages come before it, in any order.
//   - It has no replies, so it is left out of BenchmarkAsk. Reading the model
//     would need a lock of one's own.
//   - Send waits until the loop takes the message; it cannot be cancelled.
//   - A view is made after every message: here it is empty.
//
// The model is a pointer, which saves the allocation that the usual model, a
// value, costs at every Update.
type teaLoop struct {
	program *tea.Program
	model   *teaModel
	ended   chan struct{}
}

type teaModel struct{ state state }

func (m *teaModel) Init() tea.Cmd { return nil }
func (m *teaModel) View() string  { return "" }

func (m *teaModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m.state.step(msg) {
	case feedback:
		return m, func() tea.Msg { return inc{} }
	case request:
		n := m.state.n
		return m, func() tea.Msg { return got{work(n)} }
	case nothing, respond:
	}
	return m, nil
}

func newTea(s state) loop { return startTea(s) }

func startTea(s state) *teaLoop {
	l := &teaLoop{model: &teaModel{s}, ended: make(chan struct{})}
	l.program = tea.NewProgram(l.model, tea.WithoutRenderer(), tea.WithInput(nil), tea.WithoutSignalHandler())
	go func() {
		defer close(l.ended)
		_, err := l.program.Run()
		must(err)
	}()
	l.program.Send(touch{}) // it runs
	return l
}

func (l *teaLoop) repeat(n int, a action) {
	for range n {
		l.program.Send(a)
	}
}

func (l *teaLoop) stop() int {
	l.program.Quit()
	<-l.ended
	return l.model.state.n
}

// A program for each key, which nobody would do; it has nothing else to offer.
type teaKeyed map[int]*teaLoop

func newTeaKeyed(initial func(key int) state) keyedLoop {
	k := make(teaKeyed, keys)
	for key := range keys {
		k[key] = startTea(initial(key))
	}
	return k
}

func (k teaKeyed) walk(key, n int, a action) {
	for range n {
		k[key].program.Send(a)
		key = following(key)
	}
}

func (k teaKeyed) stop() (sum int) {
	for _, l := range k {
		sum += l.stop()
	}
	return sum
}
