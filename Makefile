# The two commands of this repository are `make demo` and `make test`; the rest are their parts.
# The servers are the business of deploy/stack.sh, the tests' of deploy/test.sh.

SHELL := bash
STACK := deploy/stack.sh

.DEFAULT_GOAL := help
.PHONY: help demo test laws simulate faults fuzz planted mutants peers stack stack-down stack-env stack-status fmt lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: stack ## start the servers and run the example bank on them
	@urls=$$($(STACK) env) && eval "$$urls" && \
	cargo build --release --locked -p postfold-cli -p small-bank && \
	"$${CARGO_TARGET_DIR:-target}/release/small-bank"

test: ## check formatting and lints, start the servers, run every test
	@deploy/test.sh

CASES ?= 2000
laws: stack ## try the laws of the ledger on many histories, on both stores: CASES=2000
	@urls=$$($(STACK) env) && eval "$$urls" && \
	PROPTEST_CASES=$(CASES) cargo test --locked -p postfold-proptests --test laws

SEEDS ?= 300
simulate: ## run engine and projector in a simulated world: SEEDS=300, FROM=0, or one again: SEED=...
	@cargo run --locked --quiet --bin postfold-simulation -- $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --from $(or $(FROM),0)) $(if $(BUG),--bug $(BUG))

ROUNDS ?= 200
faults: ## strike writers, projectors, rebuilders and servers at random: ROUNDS=200, FAULT_SEED=...
	FAULT_ROUNDS=$(ROUNDS) cargo test --locked -p postfold-cli --test faults -- --nocapture --test-threads 1 whatever_

SECONDS ?= 600
fuzz: ## spoil texts for everything that parses, each test for so long: SECONDS=600
	FUZZ_SECONDS=$(SECONDS) cargo test --locked -p postfold-fuzz --release --test nearly_right -- --nocapture --test-threads 2
	FUZZ_SECONDS=$(SECONDS) cargo test --locked -p postfold-cli --release --lib -- --nocapture nearly_right

PLANTED ?=
planted: ## plant bugs that a ledger must not have, and time the tests that find them: PLANTED='hold-released-twice'
	@deploy/planted.sh $(PLANTED)

MUTANTS ?=
mutants: ## plant bugs in what decides, folds, hashes and retries: MUTANTS='-f engine/src/decide/hold.rs'
	@deploy/mutants.sh $(MUTANTS)

PEERS_ROUNDS ?= 3
PEERS_SECONDS ?= 3
peers: stack ## measure other ledgers beside Postfold into docs/peers.md: PEERS_ROUNDS=3 PEERS_SECONDS=10
	@urls=$$($(STACK) env) && eval "$$urls" && \
	SQLX_OFFLINE=true cargo run --release --locked --manifest-path benches/peers/Cargo.toml -- \
	  run --docs docs --rounds $(PEERS_ROUNDS) --seconds $(PEERS_SECONDS) $(PEERS)

stack: ## start PostgreSQL and a MongoDB-compatible server, or reuse those that run
	@$(STACK) up

stack-down: ## stop the servers that `make stack` started
	@$(STACK) down

stack-env: ## print the servers' URLs: eval "$(make -s stack-env)"
	@$(STACK) env

stack-status: ## say how each server runs
	@$(STACK) status

fmt: ## format the sources
	cargo fmt --all
	cargo fmt --manifest-path benches/peers/Cargo.toml

lint: ## formatting, clippy and documentation, all warnings being errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

clean: ## stop the servers, remove their data and all build output
	@$(STACK) clean
	cargo clean
