// Package saga runs durable sagas: reducers whose every decision is committed
// before its effects run.
//
// The promise: decisions exactly once; effects at least once with a stable key;
// exactly once when the effect commits in our transaction.
package saga
