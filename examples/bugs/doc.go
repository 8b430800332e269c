// Package bugs is a catalogue of mistakes that reducers of business workflows
// make, each beside its correction. All of them pass a test that follows the
// happy path, and all are found by testkit.Explore, with the shortest way there.
// The tests name that way step by step, and explore the corrections completely.
//
//   - [LateCharge]: a timeout is taken for a refusal
//   - [StuckAfterRestart]: a decision is saved, and nobody acts on it again
//   - [DoubleCharge]: a retry with another idempotency key
//   - [DoubleRefund]: two reasons to compensate, and both do
//   - [UndoBeforeDo]: a release overtakes its hold
//   - [ExpiredAfterPayment]: a timer that was not cancelled
//   - [LostUpdate]: read, change, write, without an expected version
//   - [StaleSearch]: an older answer overwrites a newer one
//   - [ForgottenWaiter]: a command that waits is not told of the failure
//
// Each reducer has a field that makes it careful; the mistake is what happens
// without it.
package bugs
