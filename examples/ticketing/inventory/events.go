package inventory

import "github.com/seed57833328/rondo/eventstore"

// Events are the actions as they are recorded. An Answer is not: it tells what
// the state has in it already.
func Events() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[Hold]("inventory.hold", 1),
		eventstore.TypeOf[Confirm]("inventory.confirm", 1),
		eventstore.TypeOf[Release]("inventory.release", 1),
		eventstore.TypeOf[SectionLoaded]("inventory.section-loaded", 1),
		eventstore.TypeOf[LoadFailed]("inventory.load-failed", 1),
		eventstore.TypeOf[HoldExpired]("inventory.hold-expired", 1),
		eventstore.TypeOf[Resume]("inventory.resume", 1),
	}
}

// Tells finds the actions that are not recorded.
func Tells(a Action) bool {
	_, answer := a.(Answer)
	return answer
}
