package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/api"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
)

// shutdownTime is how long what goes on has to come to its end when serve is
// interrupted. What has not is taken up by the next process.
const shutdownTime = 5 * time.Second

// runServe is serve: the sale over HTTP, in real time. It runs until ctx ends.
func runServe(ctx context.Context, o options, stdout, stderr io.Writer) int {
	h, err := openHome(ctx, o.db)
	if err != nil {
		return refuse(ctx, exitUsage, fmt.Errorf("--db %s: %w", redacted(o.db), err), stderr)
	}
	err = serve(ctx, o, h, stdout)
	if err := errors.Join(err, h.Close()); err != nil {
		return refuse(ctx, exitFailed, err, stderr)
	}
	return exitOK
}

func serve(ctx context.Context, o options, h *home, stdout io.Writer) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	l, err := takeLease(ctx, h, func(held *eventstore.LeaseHeldError) {
		fmt.Fprintf(stdout, "the sale is held by %s until %s: waiting whether it is still there\n", held.Owner, held.Expires.Format(time.TimeOnly))
	}, stop)
	if err != nil {
		return err
	}
	err = served(ctx, stop, o, h, l, stdout)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return errors.Join(err, l.giveUp(ctx))
}

// served serves while the process has the right to.
func served(ctx context.Context, stop context.CancelCauseFunc, o options, h *home, l *lease, stdout io.Writer) error {
	s, err := sale.New(l, h.sagas, sale.Config{Seed: o.seed, Rates: o.rates, Halted: stop})
	if err != nil {
		return err
	}
	if err := s.Run(ctx); err != nil {
		return errors.Join(err, s.Close(ctx))
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return errors.Join(fmt.Errorf("--addr %s: %w", o.addr, err), s.Close(ctx))
	}
	server := &http.Server{Handler: api.New(s, l), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(stdout, "serving http://%s, kept in %s\n", listener.Addr(), h.where())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		_ = server.Close() // who still waits for a reservation asks again
	}
	if ctx.Err() != nil {
		_ = s.Close(ending) // what is left is taken up by the next process
		return nil
	}
	return errors.Join(err, s.Close(ending))
}
