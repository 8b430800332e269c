package store_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type Translate struct{ Text string }

func (Translate) Returns(string) {}

type (
	BookAction interface{ isBookAction() }
	Read       struct{ Text string }
	Understood struct{ Text string }
	Book       struct{ Understood int }
)

func (Read) isBookAction()       {}
func (Understood) isBookAction() {}

func reduceBook(b *Book, action BookAction, _ reducer.Env) effect.Effect[BookAction] {
	switch a := action.(type) {
	case Read:
		return effect.Do(Translate(a), func(r effect.Result[string]) BookAction { return Understood{r.Value} })
	case Understood:
		b.Understood++
	}
	return effect.Effect[BookAction]{}
}

// Hooks are where logs, metrics and traces come from. LogHooks are ready made,
// for a slog.Logger.
func Example_hooks() {
	ctx := context.Background()
	type span struct{}
	book, err := store.New(Book{}, reducer.Func[Book, BookAction](reduceBook), store.Config{
		Name: "book",
		Handlers: []effect.Handler{effect.Handle(func(ctx context.Context, t Translate) (string, error) {
			fmt.Println("in", ctx.Value(span{}))
			return t.Text + "!", nil
		})},
		Hooks: store.Hooks{
			Reduced: func(s store.StepInfo) {
				fmt.Println(s.Store, s.Seq, s.Action)
			},
			EffectContext: func(ctx context.Context, e store.EffectInfo) context.Context {
				return context.WithValue(ctx, span{}, "span of "+e.Name)
			},
			EffectEnded: func(_ context.Context, e store.EffectInfo, took time.Duration, err error) {
				fmt.Println(e.Kind, e.Request, "attempt", e.Attempt, took < time.Minute, err)
			},
			Stopped: func(name string, err error) { fmt.Println(name, "stopped", err) },
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = book.SendAndSettle(ctx, Read{"ciao"})
	fmt.Println(book.Shutdown(ctx))
	// Unordered output:
	// book 1 {ciao}
	// in span of store_test.Translate
	// request {ciao} attempt 1 true <nil>
	// book 2 {ciao!}
	// book stopped <nil>
	// <nil>
}
