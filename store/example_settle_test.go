package store_test

import (
	"context"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type Deliver struct{ To, Text string }

func (Deliver) Returns(struct{}) {}

type (
	MailAction interface{ isMailAction() }
	Post       struct {
		To   []string
		Text string
	}
	Delivered struct{ To string }
	Mail      struct{ Delivered int }
)

func (Post) isMailAction()      {}
func (Delivered) isMailAction() {}

func reduceMail(s *Mail, action MailAction, _ reducer.Env) effect.Effect[MailAction] {
	var fx effect.Of[MailAction]
	switch a := action.(type) {
	case Post:
		var all []effect.Effect[MailAction]
		for _, to := range a.To {
			all = append(all, effect.Do(Deliver{to, a.Text}, func(effect.Result[struct{}]) MailAction { return Delivered{to} }))
		}
		return fx.All(all...)
	case Delivered:
		s.Delivered++
	}
	return fx.None()
}

// SendAndSettle returns when the action and all that it caused has finished, in
// other stores too if handlers send there with the context they are given.
func Example_sendAndSettle() {
	ctx := context.Background()
	type inbox struct{ texts []string }
	ada, err := store.New(inbox{}, reducer.Func[inbox, string](func(s *inbox, text string, _ reducer.Env) effect.Effect[string] {
		s.texts = append(s.texts, text)
		return effect.Effect[string]{}
	}), store.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mail, err := store.New(Mail{}, reducer.Func[Mail, MailAction](reduceMail), store.Config{
		Handlers: []effect.Handler{effect.Handle(func(ctx context.Context, d Deliver) (struct{}, error) {
			return struct{}{}, ada.Send(ctx, d.Text) // ctx says what this is part of
		})},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mail.SendAndSettle(ctx, Post{[]string{"ada", "ada"}, "hello"}))
	fmt.Println(store.View(mail, func(s *Mail) int { return s.Delivered }), store.View(ada, func(s *inbox) []string { return s.texts }))
	// Output:
	// <nil>
	// 2 [hello hello]
}
