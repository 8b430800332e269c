//go:build unix

package postgrestest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// keeperScript is the process that keeps a server. It makes the folder, prints
// its name, runs the commands it is sent one by one and prints the exit status of
// each. When nothing can come any more it ends the server and removes the folder.
// As it alone runs commands, none can be going on then.
const keeperScript = `
umask 077
trap '' PIPE
dir=
for parent in "$2" /tmp; do
	dir=$(mktemp -d "$parent/rondo-postgres-XXXXXXXX" 2>/dev/null) && break
done
[ -n "$dir" ] || exit 1
cd "$dir"
echo "$dir"
while read -r command; do
	sh -c "$command" >"$dir/out" 2>&1 </dev/null
	echo "$?"
done
"$1/pg_ctl" stop -D "$dir/data" -m immediate -w -t 30 >/dev/null 2>&1
cd /
until rm -rf "$dir"; do sleep 0.1; done
`

// maxTemp is how long the name of the folder that has the server's may be, for
// the path of a socket has little room: 104 bytes or so.
const maxTemp = 60

// keeper is the process that runs and ends a server. See keeperScript.
type keeper struct {
	dir string // of the server; removed by the process

	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startKeeper(bin string) (*keeper, error) {
	temp := os.TempDir()
	if len(temp) > maxTemp {
		temp = "/tmp"
	}
	k := &keeper{cmd: exec.Command("sh", "-c", keeperScript, "keeper", bin, temp)}
	// In a session of its own, so that an interrupt from the terminal ends the
	// tests first and the server after them.
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() == 0 {
		credential, err := unprivileged()
		if err != nil {
			return nil, err
		}
		k.cmd.SysProcAttr.Credential = credential
		k.cmd.Env = append(os.Environ(), "HOME=/")
	}
	k.cmd.Dir = "/" // the working folder may be closed to the other user
	var err error
	if k.in, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	k.out = bufio.NewReader(out)
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the process that keeps the server: %w", err)
	}
	if k.dir, err = k.line(); err != nil {
		return nil, errors.Join(fmt.Errorf("make a folder in %s: %w", temp, err), k.close())
	}
	return k, nil
}

// unprivileged returns who runs the server when the tests run as root.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

// run runs a program and waits for it. What it printed is in the error.
func (k *keeper) run(program string, args ...string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	words := []string{quoteShell(program)}
	for _, a := range args {
		words = append(words, quoteShell(a))
	}
	if _, err := io.WriteString(k.in, strings.Join(words, " ")+"\n"); err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	status, err := k.line()
	if err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	if status != "0" {
		printed, _ := os.ReadFile(filepath.Join(k.dir, "out")) // the status says enough
		return fmt.Errorf("%s ended with status %s: %s", strings.Join(words, " "), status, strings.TrimSpace(string(printed)))
	}
	return nil
}

func (k *keeper) line() (string, error) {
	line, err := k.out.ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = errors.New("the process that keeps the server has ended")
	}
	return strings.TrimSuffix(line, "\n"), err
}

// close ends the server and removes its folder.
func (k *keeper) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return errors.Join(k.in.Close(), k.cmd.Wait())
}

func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
