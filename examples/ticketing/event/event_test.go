package event

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

var gala = Draft{
	Name:     "gala",
	Tiers:    []ticket.Tier{{Name: "Premium", Price: 149_90}, {Name: "Economy", Price: 45_25}},
	Sections: []Layout{{"stalls", "Premium", []int{8, 8}}, {"gallery", "Economy", []int{5}}},
}

func TestLife(t *testing.T) {
	t.Parallel()
	testkit.Given(t, Decider{}).
		When(gala).
		Then(Drafted(gala)).
		ThenState(func(s *State) {
			*s = State{Name: "gala", Phase: IsDraft, Tiers: gala.Tiers, Sections: gala.Sections}
		}).
		When(Publish{}).Then(Published{}).ThenState(func(s *State) { s.Phase = IsPublished }).
		When(PutOnSale{}).Then(SaleBegun{}).ThenState(func(s *State) { s.Phase = IsOnSale }).
		When(Close{}).Then(Closed{}).ThenState(func(s *State) { s.Phase = IsClosed })
}

func TestPricesChangeUntilTheSale(t *testing.T) {
	t.Parallel()
	testkit.Given(t, Decider{}, Drafted(gala), Published{}).
		When(SetPrice{"Economy", 39_90}).
		Then(PriceSet{"Economy", 39_90}).
		ThenState(func(s *State) { s.Tiers[1].Price = 39_90 }).
		When(SetPrice{"Economy", 39_90}).ThenNothing().
		When(SetPrice{"Royal", 1}).ThenRejected("no-such-tier").
		When(SetPrice{"Economy", 0}).ThenRejected("bad-price").
		When(SetPrice{"Economy", MaxPrice + 1}).ThenRejected("bad-price").
		When(PutOnSale{}).Then(SaleBegun{}).
		When(SetPrice{"Economy", 45_25}).ThenRejected("wrong-phase")
}

// Every command in every phase: what comes again does nothing, what comes at the
// wrong time is refused, and a cancelled event stays so.
func TestEveryCommandInEveryPhase(t *testing.T) {
	t.Parallel()
	past := map[Phase][]any{
		"":          {},
		IsDraft:     {Drafted(gala)},
		IsPublished: {Drafted(gala), Published{}},
		IsOnSale:    {Drafted(gala), Published{}, SaleBegun{}},
		IsClosed:    {Drafted(gala), Published{}, SaleBegun{}, Closed{}},
		IsCancelled: {Drafted(gala), Cancelled{}},
	}
	const again, fine = "again", "fine"
	for name, c := range map[string]struct {
		command Command
		want    map[Phase]string
	}{
		"draft": {gala, map[Phase]string{
			"": fine, IsDraft: "event-exists", IsPublished: "event-exists", IsOnSale: "event-exists", IsClosed: "event-exists", IsCancelled: "event-exists",
		}},
		"publish": {Publish{}, map[Phase]string{
			"": "no-such-event", IsDraft: fine, IsPublished: again, IsOnSale: "wrong-phase", IsClosed: "wrong-phase", IsCancelled: "event-cancelled",
		}},
		"put on sale": {PutOnSale{}, map[Phase]string{
			"": "no-such-event", IsDraft: "wrong-phase", IsPublished: fine, IsOnSale: again, IsClosed: "wrong-phase", IsCancelled: "event-cancelled",
		}},
		"close": {Close{}, map[Phase]string{
			"": "no-such-event", IsDraft: "wrong-phase", IsPublished: "wrong-phase", IsOnSale: fine, IsClosed: again, IsCancelled: "event-cancelled",
		}},
		"cancel": {Cancel{}, map[Phase]string{
			"": "no-such-event", IsDraft: fine, IsPublished: fine, IsOnSale: fine, IsClosed: "wrong-phase", IsCancelled: again,
		}},
	} {
		for phase, events := range past {
			t.Run(fmt.Sprintf("%s when %q", name, phase), func(t *testing.T) {
				t.Parallel()
				var s State
				for _, e := range events {
					Decider{}.Evolve(&s, e.(Event)) //nolint:forcetypeassert // they are
				}
				got, err := Decider{}.Decide(&s, c.command, reducer.Env{})
				verdict := fine
				var rejection *aggregate.RejectionError
				switch {
				case err != nil:
					require.ErrorAs(t, err, &rejection)
					verdict = rejection.Code
				case len(got) == 0:
					verdict = again
				}
				require.Equal(t, c.want[phase], verdict)
			})
		}
	}
}

func TestBadDrafts(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Draft){
		"name is empty":              func(d *Draft) { d.Name = "" },
		"tiers are 0, want 1 to 20":  func(d *Draft) { d.Tiers = nil },
		"tiers are 21, want 1 to 20": func(d *Draft) { d.Tiers = make([]ticket.Tier, 21) },
		"sections are 0, want 1 to":  func(d *Draft) { d.Sections = nil },
		`tiers[1].name is "Premium"`: func(d *Draft) {
			d.Tiers = []ticket.Tier{{Name: "Premium", Price: 1}, {Name: "Premium", Price: 2}}
		},
		`tiers[0].name is ""`:           func(d *Draft) { d.Tiers = []ticket.Tier{{Price: 1}} },
		"tiers[0].price is 0, want":     func(d *Draft) { d.Tiers = []ticket.Tier{{Name: "Premium"}} },
		`sections[1].name is "stalls"`:  func(d *Draft) { d.Sections = []Layout{gala.Sections[0], gala.Sections[0]} },
		`sections[0].tier is "Royal"`:   func(d *Draft) { d.Sections = []Layout{{"stalls", "Royal", []int{1}}} },
		"sections[0].rows are 0, want":  func(d *Draft) { d.Sections = []Layout{{"stalls", "Premium", nil}} },
		"sections[0].rows[1] has 51":    func(d *Draft) { d.Sections = []Layout{{"stalls", "Premium", []int{1, 51}}} },
		"sections[0].rows[0] has 0":     func(d *Draft) { d.Sections = []Layout{{"stalls", "Premium", []int{0}}} },
		"sections[0].rows are 2501":     func(d *Draft) { d.Sections = []Layout{{"stalls", "Premium", make([]int, 2501)}} },
		"tiers[0].price is 10000001":    func(d *Draft) { d.Tiers = []ticket.Tier{{Name: "Premium", Price: MaxPrice + 1}} },
		"sections are 51, want 1 to 50": func(d *Draft) { d.Sections = make([]Layout, 51) },
		`sections[0].name is "", want a`: func(d *Draft) {
			d.Sections = []Layout{{"", "Premium", []int{1}}}
		},
	} {
		d := gala
		change(&d)
		_, err := Decider{}.Decide(&State{}, d, reducer.Env{})
		require.ErrorContains(t, err, "bad draft: "+want)
	}
}
