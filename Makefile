# Every target describes itself after two hashes; `make` prints them.

GO     ?= go
LINT   := $(GO) tool -modfile=tools/go.mod golangci-lint
STAT   := $(GO) tool -modfile=tools/go.mod benchstat

# Overridable on the command line: make bench BENCH=Send COUNT=10 TABLE=-markdown
COUNT  ?= 5
BENCH  ?= .
PKG    ?= ./...
BENCHTIME ?= 1s
TABLE  ?=
SEEDS  ?= 1000
SAGAS  ?= 4000x

# The packages whose tests depend on order, time and goroutines.
TIMING := ./effect/... ./reducer/... ./internal/engine/... ./store/... ./workflow/... ./testkit/...

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## Run every test
	$(GO) test ./...

.PHONY: race
race: ## Run every test under the race detector, large explorations in short form
	$(GO) test -race -short -timeout 20m ./...

.PHONY: vet
vet: ## Run go vet
	$(GO) vet ./...

.PHONY: lint
lint: ## Run the linters (the first run builds them, which takes minutes)
	$(LINT) run ./...

.PHONY: fmt
fmt: ## Format every Go file
	$(LINT) fmt

.PHONY: fmt-check
fmt-check: ## Show what fmt would change, and fail if it would
	$(LINT) fmt --diff

.PHONY: bench
bench: ## Compare with peers and limits (BENCH=regexp COUNT=n BENCHTIME=t TABLE=flags)
	$(GO) -C benchmarks run ./cmd/table -bench '$(BENCH)' -count $(COUNT) -benchtime $(BENCHTIME) $(TABLE)

.PHONY: bench-raw
bench-raw: ## Run one's own benchmarks, for benchstat (BENCH=regexp COUNT=n PKG=./store)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count $(COUNT) $(PKG)

.PHONY: bench-saga
bench-saga: ## Run sagas beside the same writes by hand, and many that sleep (SAGAS=4000x)
	$(GO) test -run '^$$' -bench 'Saga|Sleepers' -benchtime $(SAGAS) -timeout 60m ./saga/sqlite ./saga/postgres

.PHONY: benchstat
benchstat: ## Compare two saved benchmark outputs (OLD=old.txt NEW=new.txt)
	$(STAT) $(OLD) $(NEW)

.PHONY: flake
flake: ## Run the tests that depend on order and time 50 times under the race detector
	$(GO) test -race -count=50 -timeout 60m $(TIMING)

.PHONY: long
long: ## Run what is short in other runs at its full length (an hour or more)
	RONDO_LONG=1 RONDO_SAGA_ROUNDS=200 $(GO) test -timeout 120m ./saga/...
	RONDO_GAPSAFE_EVENTS=1000000 $(GO) test -timeout 120m -run ManyProcesses ./eventstore/postgres/gapsafe
	RONDO_READ_EVENTS=1000000 $(GO) test -timeout 120m -run TestReadingIsFlat ./eventstore
	RONDO_KILL_ROUNDS=200 $(GO) test -timeout 120m -run TestKilled ./eventstore/publish
	RONDO_LONG=1 RONDO_KILL_ROUNDS=200 $(GO) test -timeout 120m -run 'Killed|EveryWrite' ./examples/ticketing/...

.PHONY: seeds
seeds: ## Audit the ticketing example over many seeds (SEEDS=1000)
	$(GO) run ./examples/ticketing --seeds $(SEEDS)

.PHONY: demo
demo: ## Run the ticketing example
	$(GO) run ./examples/ticketing

.PHONY: ci
ci: ## Run everything the continuous integration runs
	./.ci/run
