package eventstoretest

import "time"

// SetPatience sets how long the suite waits for what must come.
func SetPatience(d time.Duration) { patience = d }
