package workflow

import "strconv"

// Phase is where a [Workflow] stands.
type Phase int

// The phases.
const (
	Idle    Phase = iota // no data and none on its way
	Loading              // the data of one key is on its way
	Ready                // the data of one key is here
)

// String returns the name of the phase as JSON has it.
func (p Phase) String() string {
	switch p {
	case Idle:
		return "idle"
	case Loading:
		return "loading"
	case Ready:
		return "ready"
	}
	return "Phase(" + strconv.Itoa(int(p)) + ")"
}

// Step is what to do with a command. The zero Step comes with an error only, so
// that an error that was overlooked does not process anything.
type Step int

// The steps.
const (
	Process Step = iota + 1 // the data of the command's key is here and may be used
	Load                    // the command waits; start loading the data of its key
	Wait                    // the command waits, and what it waits for is on its way
)

// String returns the name of the step in lower case.
func (s Step) String() string {
	switch s {
	case Process:
		return "process"
	case Load:
		return "load"
	case Wait:
		return "wait"
	}
	return "Step(" + strconv.Itoa(int(s)) + ")"
}
