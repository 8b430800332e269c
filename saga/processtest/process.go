package processtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// process is a worker as the one that has started it sees it.
type process struct {
	t     *testing.T
	task  task
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{} // closed when all that it told is known, and it has ended
	err   error         // of its end

	mu    sync.Mutex
	told  []string
	news  chan struct{} // closed when there is more
	kills int           // at which line it is killed, 0 if it is not
}

// spawn starts a worker. It is killed with the test, if it is still there.
func spawn(t *testing.T, given task, kills int) *process {
	t.Helper()
	text, err := json.Marshal(given)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	p := &process{t: t, task: given, kills: kills, ended: make(chan struct{}), news: make(chan struct{})}
	p.cmd = exec.Command(self) //nolint:gosec,noctx // it is this program, and is killed below
	p.cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	p.cmd.Stderr = os.Stderr
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go p.listen(out)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

func (p *process) listen(out io.Reader) {
	defer close(p.ended)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		p.mu.Lock()
		p.told = append(p.told, lines.Text())
		close(p.news)
		p.news = make(chan struct{})
		now := len(p.told) == p.kills
		p.mu.Unlock()
		if now {
			_ = p.cmd.Process.Kill() // it may have killed itself
		}
	}
	p.err = errors.Join(lines.Err(), p.cmd.Wait())
}

// lines are what it has told of one kind, without that.
func (p *process) lines(what string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, line := range p.told {
		if kind, rest, _ := strings.Cut(line, " "); kind == what {
			found = append(found, rest)
		}
	}
	return found
}

// await waits until it has told something, and returns the rest of that line. It
// fails if the process ends before.
func (p *process) await(what string) string {
	p.t.Helper()
	for {
		p.mu.Lock()
		news := p.news
		p.mu.Unlock()
		if found := p.lines(what); len(found) > 0 {
			return found[0]
		}
		select {
		case <-news:
		case <-p.ended:
			if found := p.lines(what); len(found) > 0 {
				return found[0]
			}
			p.t.Fatalf("worker %s ended and has not told %q: %v", p.task.Worker, what, p.err)
		case <-p.t.Context().Done():
			p.t.Fatal("the test has ended")
		}
	}
}

func (p *process) tell(what string) {
	p.t.Helper()
	_, err := io.WriteString(p.in, what+"\n")
	require.NoError(p.t, err)
}

// killed waits until the process was killed, by itself or by us.
func (p *process) killed() {
	p.t.Helper()
	<-p.ended
	var exit *exec.ExitError
	require.ErrorAs(p.t, p.err, &exit)
	require.Equal(p.t, -1, exit.ExitCode(), "worker %s was to be killed, and ended by itself", p.task.Worker)
}

// end has the process shut down in order.
func (p *process) end() {
	p.t.Helper()
	p.tell(leave)
	<-p.ended
	require.NoError(p.t, p.err, "worker %s", p.task.Worker)
}
