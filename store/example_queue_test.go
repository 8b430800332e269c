package store_test

import (
	"context"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type Print struct{ Page string }

func (Print) Returns(string) {}

type (
	PrinterAction interface{ isPrinterAction() }
	Page          struct{ Text string }
	Printed       struct{ Text string }
	Printer       struct{ Done []string }
)

func (Page) isPrinterAction()    {}
func (Printed) isPrinterAction() {}

func reducePrinter(p *Printer, action PrinterAction, _ reducer.Env) effect.Effect[PrinterAction] {
	switch a := action.(type) {
	case Page:
		return effect.Do(Print{a.Text}, func(r effect.Result[string]) PrinterAction { return Printed{r.Value} },
			effect.Key("printer", effect.Queue))
	case Printed:
		p.Done = append(p.Done, a.Text)
	}
	return effect.Effect[PrinterAction]{}
}

// The policy of a key says what happens if it is in use. With Queue, effects
// take turns in the order in which they were asked for; the others are Every,
// Latest and Leading.
func Example_queuePolicy() {
	ctx := context.Background()
	printing := 0 // one at a time, so it needs no lock
	printer, err := store.New(Printer{}, reducer.Func[Printer, PrinterAction](reducePrinter), store.Config{
		Handlers: []effect.Handler{effect.Handle(func(_ context.Context, p Print) (string, error) {
			printing++
			return fmt.Sprintf("%d:%s", printing, p.Page), nil
		})},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"one", "two", "three"} {
		_ = printer.Send(ctx, Page{text})
	}
	fmt.Println(printer.Shutdown(ctx))
	fmt.Println(store.View(printer, func(p *Printer) []string { return p.Done }))
	// Output:
	// <nil>
	// [1:one 2:two 3:three]
}
