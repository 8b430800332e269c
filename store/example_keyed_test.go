package store_test

import (
	"context"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type (
	Account struct{ Cents int }
	Deposit struct{ Cents int }
)

func reduceAccount(a *Account, d Deposit, _ reducer.Env) effect.Effect[Deposit] {
	a.Cents += d.Cents
	return effect.Effect[Deposit]{}
}

// A keyed store has a store for each key: made when it is first used, and
// passivated when it is idle and its place is needed.
func Example_keyed() {
	ctx := context.Background()
	saved := map[string]Account{} // a database
	accounts, err := store.NewKeyed(func(name string) Account { return saved[name] }, reducer.Func[Account, Deposit](reduceAccount),
		store.KeyedConfig[string, Account]{
			MaxLive: 2,
			Passivated: func(name string, a Account) {
				fmt.Println("passivated", name, a)
				saved[name] = a
			},
		})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"ada", "bob", "bob", "eve", "ada"} {
		if err := accounts.Send(ctx, name, Deposit{100}); err != nil {
			fmt.Println(err)
		}
	}
	ada, live := store.ViewKey(accounts, "ada", func(a *Account) int { return a.Cents })
	fmt.Println("ada has", ada, live)
	fmt.Println(accounts.Len(), "are live")
	fmt.Println(accounts.Shutdown(ctx))
	// Output:
	// passivated ada {100}
	// passivated bob {200}
	// ada has 200 true
	// 2 are live
	// <nil>
}
