package store_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

type (
	SearchBox    struct{ Text string }
	SearchAction interface{ isSearchAction() }
	Typed        struct{ Text string }
	Search       struct{ Text string }
)

func (Typed) isSearchAction()  {}
func (Search) isSearchAction() {}

func reduceSearch(s *SearchBox, action SearchAction, _ reducer.Env) effect.Effect[SearchAction] {
	var fx effect.Of[SearchAction]
	switch a := action.(type) {
	case Typed:
		s.Text = a.Text
		return fx.After("search", 300*time.Millisecond, Search(a))
	case Search:
		fmt.Printf("search for %q\n", a.Text)
	}
	return fx.None()
}

// A timer replaces one that runs under its key: the search begins when nothing
// was typed for a while. The simulation makes the while pass at once; without
// Config.Runtime the store takes the machine's time.
func Example_debounce() {
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		box, err := store.New(SearchBox{}, reducer.Func[SearchBox, SearchAction](reduceSearch), store.Config{Runtime: rt})
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, text := range []string{"c", "co", "con"} {
			_ = box.Send(ctx, Typed{text})
			_ = store.Sleep(ctx, 100*time.Millisecond)
		}
		_ = store.Sleep(ctx, time.Second)
		_ = box.Send(ctx, Typed{"concert"})
		fmt.Println(box.Shutdown(ctx))
	})
	fmt.Println(err)
	// Output:
	// search for "con"
	// search for "concert"
	// <nil>
	// <nil>
}
