package store_test

import (
	"context"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type Upload struct{ File string }

func (Upload) Returns(int) {}

type (
	UploadAction interface{ isUploadAction() }
	Begin        struct{ File string }
	GiveUp       struct{ File string }
	Uploaded     struct{ File string }
	Uploads      struct{ Log []string }
)

func (Begin) isUploadAction()    {}
func (GiveUp) isUploadAction()   {}
func (Uploaded) isUploadAction() {}

func reduceUploads(s *Uploads, action UploadAction, _ reducer.Env) effect.Effect[UploadAction] {
	var fx effect.Of[UploadAction]
	s.Log = append(s.Log, fmt.Sprintf("%T", action))
	switch a := action.(type) {
	case Begin:
		return effect.Do(Upload(a), func(effect.Result[int]) UploadAction { return Uploaded(a) }, effect.Key(a.File))
	case GiveUp:
		return fx.Cancel(a.File)
	}
	return fx.None()
}

// Once a cancel is reduced, no result of its key is: not even one that was
// already on its way. The handler's context ends.
func Example_cancel() {
	ctx := context.Background()
	began := make(chan struct{})
	uploads, err := store.New(Uploads{}, reducer.Func[Uploads, UploadAction](reduceUploads), store.Config{
		Handlers: []effect.Handler{effect.Handle(func(ctx context.Context, u Upload) (int, error) {
			close(began)
			<-ctx.Done()
			fmt.Println(u.File, ctx.Err())
			return 0, ctx.Err()
		})},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = uploads.Send(ctx, Begin{"holiday.jpg"})
	<-began
	_ = uploads.Send(ctx, GiveUp{"holiday.jpg"})
	fmt.Println(uploads.Shutdown(ctx))
	fmt.Println(store.View(uploads, func(s *Uploads) []string { return s.Log }))
	// Output:
	// holiday.jpg context canceled
	// <nil>
	// [store_test.Begin store_test.GiveUp]
}
