#!/usr/bin/env bash
# `make mutants`: plants one bug at a time in what decides, folds, hashes, moves a checkpoint and retries, and looks whether a
# test fails. No server is needed: the tests of the rules run in memory. What is planted where: .cargo/mutants.toml;
# which bugs nobody can find, and why: deploy/mutants.md. Further arguments go to cargo-mutants, such as
# `-f engine/src/decide/hold.rs`, `--shard 1/8` or `--iterate`.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! cargo mutants --version >/dev/null 2>&1; then
  echo "mutants: cargo-mutants is not installed: cargo install --locked cargo-mutants" >&2
  exit 1
fi

export POSTFOLD_TEST_STORES=memory
export DATABASE_URL=${DATABASE_URL:-none} MONGODB_URI=${MONGODB_URI:-none}

# Tables of rules first: they find most. Named for builds, too: nothing else is built, which takes a third of the time.
engine=(-C=--lib)
for test in rules holds edges edges_of_batches accounts_and_periods queries_balances upcasting; do
  engine+=("-C=--test=$test")
done

code=0
cargo mutants --package postfold --output target/mutants/engine "${engine[@]}" "$@" || code=$?
cargo mutants --package postfold-projections --output target/mutants/projections -C=--lib "$@" || code=$?
exit "$code"
