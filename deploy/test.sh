#!/usr/bin/env bash
# `make test`: format and lint checks, the servers, then every test of the workspace. The last line is the sum of
# the test runner's own counts, and the exit code is the runner's. The servers stay up for the next run.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  printf 'test: error: %s\n' "$*" >&2
  exit 1
}

step() { printf '\n== %s\n' "$*"; }

command -v cargo >/dev/null || fail "cargo is not installed; https://rustup.rs tells how to get Rust"

# A minimal toolchain lacks these two; rustup knows where they are.
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt || fail "rustfmt is missing and rustup cannot add it"
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy || fail "clippy is missing and rustup cannot add it"

step "formatting"
cargo fmt --all --check

step "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings

step "servers"
deploy/stack.sh up
urls=$(deploy/stack.sh env)
eval "$urls"

step "tests"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
# All suites run even if one fails: the count is of everything.
cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log" || code=$?

counts=$(awk '
  /^test result:/ {
    for (i = 2; i <= NF; i++) {
      if ($i ~ /^passed/) passed += $(i - 1)
      if ($i ~ /^failed/) failed += $(i - 1)
    }
  }
  END { printf "%d passed, %d failed", passed, failed }' "$log")

if [[ $counts == "0 passed, 0 failed" && $code -eq 0 ]]; then
  code=1
  echo "test: error: no test ran" >&2
elif [[ $counts == *", 0 failed" && $code -ne 0 ]]; then
  echo "test: error: cargo test failed outside of a test (see above); the count is incomplete" >&2
fi
printf '\n%s\n' "$counts"
exit "$code"
