package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type (
	account struct{ Balance int }
	deposit struct {
		Card   string
		Amount int
	}
)

// A store writes down what it reduces. Card numbers do not belong into a file.
func ExampleJournal() {
	var file bytes.Buffer
	journal := store.NewJournal(&file, store.JournalConfig{
		Redact: func(value any) any {
			if d, ok := value.(deposit); ok {
				d.Card = "redacted"
				return d
			}
			return value
		},
	})
	st, err := store.New(account{}, reducer.Func[account, deposit](func(s *account, d deposit, _ reducer.Env) effect.Effect[deposit] {
		s.Balance += d.Amount
		return effect.Effect[deposit]{}
	}), store.Config{Name: "accounts", Journal: journal})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	_ = st.Send(ctx, deposit{"4111 1111 1111 1111", 20})
	_ = st.Send(ctx, deposit{"4222 2222 2222 2222", 22})
	_ = st.Shutdown(ctx)

	lines := json.NewDecoder(&file)
	for lines.More() {
		var line struct {
			Store         string
			Seq           int
			State, Action json.RawMessage
		}
		if err := lines.Decode(&line); err != nil {
			panic(err)
		}
		fmt.Printf("%s %d %s%s\n", line.Store, line.Seq, line.State, line.Action)
	}
	// Output:
	// accounts 0 {"Balance":0}
	// accounts 1 {"Card":"redacted","Amount":20}
	// accounts 2 {"Card":"redacted","Amount":22}
}
