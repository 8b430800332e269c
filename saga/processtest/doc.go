// Package processtest holds a home for sagas to what is promised of processes that
// end at any point. It runs workers as processes of their own, kills them with
// SIGKILL and stops them with SIGSTOP, and judges what became of their sagas by
// the home's records and histories and by a file that is kept outside of it, in
// which every effect notes, before anything else happens, that it was done and
// under which key.
//
// The processes are the test binary itself, so a package that tests its home has
//
//	func TestMain(m *testing.M) { processtest.Main(m, home) }
//
//	func TestProcesses(t *testing.T) { processtest.Run(t, home) }
//
// RONDO_SAGA_ROUNDS says how often processes are killed: 10 times by default, 4
// times with -short.
//
// # Concurrency
//
// The parts of Run run one after another: each has several processes at work. A
// process ends when the one that has started it does, however that ends.
package processtest
