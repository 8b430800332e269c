package command_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// The test binary is also the processes that are killed: with this variable set
// it runs a bus over the file that it names.
const childVariable = "RONDO_COMMAND_TEST_CHILD"

func TestMain(m *testing.M) {
	path := os.Getenv(childVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, child(context.Background(), path))
	os.Exit(1)
}

// sectionsOn is a bus of sections over a file.
func sectionsOn(db *sqlite.Store) (*command.Bus, error) {
	sections, err := aggregate.New("section", Sections{}, sectionEvents, db, aggregate.Config[Section]{})
	if err != nil {
		return nil, err
	}
	return command.New(db, db, []command.Route{
		command.Handle("reserve-seats", func(ctx context.Context, c ReserveSeats) (aggregate.Feedback[Section], error) {
			return sections.Execute(ctx, c.Section, c, command.Key(ctx))
		}),
	}, command.Config{
		LeaseTTL: time.Second, Timeout: 5 * time.Second, Grace: 6 * time.Second, Attempts: 1000,
		CarryAfter: 50,
		Hooks: command.Hooks{
			Trouble:  func(doing string, err error) { fmt.Fprintln(os.Stderr, "trouble:", doing, err) },
			Retrying: func(r command.Record) { fmt.Fprintln(os.Stderr, "retrying:", r.Failure.Reason) },
		},
	})
}

// child gives commands in all ways until it is killed, and writes a line for each
// that was accepted.
func child(ctx context.Context, path string) error {
	db, err := sqlite.Open(ctx, path, sqlite.Config{Durability: sqlite.Normal})
	if err != nil {
		return err
	}
	b, err := sectionsOn(db)
	if err != nil {
		return err
	}
	ended := make(chan error, 4)
	go func() { ended <- b.Run(ctx) }()
	for sender := range 3 {
		go func() {
			for {
				id := uuid.New()
				c := ReserveSeats{Section: fmt.Sprint(rand.IntN(3)), Order: id.String(), Seats: 1}
				var err error
				switch sender {
				case 0:
					_, err = command.Dispatch(ctx, b, c, command.WithID(id))
				case 1:
					_, err = command.Enqueue(ctx, b, c, command.WithID(id))
				case 2:
					_, err = command.Schedule(ctx, b, time.Now().Add(time.Duration(rand.IntN(300))*time.Millisecond), c, command.WithID(id), command.InOrder(c.Section))
				}
				if err != nil {
					ended <- fmt.Errorf("sender %d: %w", sender, err)
					return
				}
				fmt.Println(id)
			}
		}()
	}
	return <-ended
}

// Processes are killed at any moment. What they have accepted is carried out, once
// in effect, and so is all that was recorded.
func TestKilled(t *testing.T) {
	t.Parallel()
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "events.db")
	self, err := os.Executable()
	require.NoError(t, err)
	db, err := sqlite.Open(ctx, path, sqlite.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	opened, err := json.Marshal(Opened{Seats: 1_000_000})
	require.NoError(t, err)
	for i := range 3 {
		_, err := db.Append(ctx, eventstore.Write{Stream: fmt.Sprint("section-", i), Expected: eventstore.None, Events: []eventstore.Event{{Type: "section.opened", Data: opened}}})
		require.NoError(t, err)
	}
	accepted := map[string]bool{}
	for range rounds {
		c := exec.CommandContext(ctx, self)
		c.Env = append(os.Environ(), childVariable+"="+path)
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		last := 10 + rand.IntN(100)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			accepted[lines.Text()] = true
			if n == last {
				require.NoError(t, c.Process.Kill())
			}
		}
		require.NoError(t, lines.Err())
		var exit *exec.ExitError
		require.ErrorAs(t, c.Wait(), &exit)
		require.Equal(t, -1, exit.ExitCode(), "it was killed, and has not ended by itself")
	}
	b, err := sectionsOn(db)
	require.NoError(t, err)
	r := run(ctx, t, b)
	recorded := map[string]bool{}
	for e, err := range db.ReadAll(ctx, 0, eventstore.Filter{Categories: []string{"command"}}) {
		require.NoError(t, err)
		recorded[strings.TrimPrefix(e.Stream, "command-")] = true
	}
	attempts := 0
	for id := range recorded {
		record, err := b.Wait(ctx, uuid.MustParse(id))
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status, "%+v", record.Failure)
		attempts += record.Attempts
	}
	r.end()
	for id := range accepted {
		require.True(t, recorded[id], "command %s was accepted and is not there", id)
	}
	done := map[string]int{}
	for e, err := range db.ReadAll(ctx, 0, eventstore.Filter{Types: []string{"section.reserved"}}) {
		require.NoError(t, err)
		var reserved Reserved
		require.NoError(t, json.Unmarshal(e.Data, &reserved))
		done[reserved.Order]++
	}
	require.Len(t, done, len(recorded))
	for id, n := range done {
		require.True(t, recorded[id])
		require.Equal(t, 1, n, "command %s was carried out %d times", id, n)
	}
	t.Logf("%d commands were accepted, %d recorded, %d attempts", len(accepted), len(recorded), attempts)
}
