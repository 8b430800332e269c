package inventory

import (
	"context"
	"sync"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/workflow"
)

// Catalogue is the read model that sections are loaded from: what is on offer,
// and as it stands what is sold of it. This one is in memory. Its methods may be
// called from any goroutine.
type Catalogue struct {
	mu       sync.Mutex
	offered  []Section
	sections map[ticket.Section]Section
}

// NewCatalogue makes one with nothing on offer.
func NewCatalogue() *Catalogue {
	return &Catalogue{sections: map[ticket.Section]Section{}}
}

// Offer puts a section on sale, or does nothing if it is already.
func (c *Catalogue) Offer(s Section) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.sections[s.ID]; ok {
		return
	}
	c.offered = append(c.offered, s.Clone())
	c.sections[s.ID] = s.Clone()
}

// Offered returns the sections as they were put on sale, in that order.
func (c *Catalogue) Offered() []Section {
	c.mu.Lock()
	defer c.mu.Unlock()
	offered := make([]Section, len(c.offered))
	for i, s := range c.offered {
		offered[i] = s.Clone()
	}
	return offered
}

// queryTime is how long the read model takes to answer.
const queryTime = 40 * time.Millisecond

// LoadSection is the handler of that request.
func (c *Catalogue) LoadSection(ctx context.Context, q LoadSection) (Section, error) {
	if err := store.Sleep(ctx, queryTime); err != nil {
		return Section{}, err
	}
	if s, ok := c.Section(q.Section); ok {
		return s, nil
	}
	return Section{}, ticket.Reject(NoSuchSection, "%s", q.Section)
}

// Section returns a section as it stood when its store was last passivated.
func (c *Catalogue) Section(id ticket.Section) (Section, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.sections[id]
	return s.Clone(), ok
}

// Passivated keeps the section of a store that leaves memory; the next command
// for it loads it again. A store leaves only when nothing goes on in it, so no
// hold is running then. It is a store.KeyedConfig's function of that name.
func (c *Catalogue) Passivated(id ticket.Section, s State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Load.Phase() == workflow.Ready { // otherwise it never had its section
		c.sections[id] = s.Section
	}
}
