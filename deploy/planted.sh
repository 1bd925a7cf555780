#!/usr/bin/env bash
# `make planted`: plants bugs that a ledger must not have, one at a time, in a copy of the sources, and looks whether the
# tests find them. Those of the simulation stand between the product and its stores (proptests/simulation/src/bug.rs);
# the others are patches of the product's code (proptests/planted), each with the command that must fail. No server is
# needed. Prints a table, and fails when a bug is not found. Names of bugs as arguments: only those.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
work=$root/target/planted
tree=$work/tree

export CARGO_TARGET_DIR=$work/build COLUMNS=400
export POSTFOLD_TEST_STORES=memory DATABASE_URL=${DATABASE_URL:-none} MONGODB_URI=${MONGODB_URI:-none}
# The copy lies within the repository, and is none of its own: without this, git would apply nothing to it.
export GIT_CEILING_DIRECTORIES=$work

# With new times, all of them: what was built with a bug must not pass for what is built without.
rm -rf "$tree"
mkdir -p "$tree"
tar --exclude=target --exclude=.git -cf - . | tar -xmf - -C "$tree"
cd "$tree"

wanted() { [[ $# -eq 1 ]] || [[ " ${*:2} " == *" $1 "* ]]; }

# What found the bug, and after how long: by the count of the simulation, or that of the test runner.
found() {
  sed -nE '
    s/^after ([0-9]+ seeds?), ([0-9]+ steps), (.*)$/simulation | \1, \2, \3/p
    s/^test ([^ ]+) .*FAILED$/T \1/p
    s/^test result: FAILED.* ([0-9]+) failed;.* finished in (.*)s$/R \1 \2 s/p' "$1" |
    awk '/^simulation/ { print; exit }
         /^T/ && !test { test = $2 }
         /^R/ { more = $2 > 1 ? " and " $2 - 1 " more" : ""; print "`" test "`" more " | " $3 " " $4; exit }'
}

missed=0
# A bug, what it is, and the command that must fail.
try() {
  local log=$work/$1.log row
  if bash -c "$3" >"$log" 2>&1; then
    row="**nothing** | -"
    missed=$((missed + 1))
  else
    row=$(found "$log")
    if [[ -z $row ]]; then
      tail -n 30 "$log" >&2
      echo "planted: $1: the command failed, and no test did: $3" >&2
      exit 1
    fi
  fi
  echo "| ${2^} | $row |"
}

echo "| bug | found by | after |"
echo "|---|---|---|"

simulate="cargo run --locked --quiet --bin postfold-simulation --"
$simulate --help | sed -nE 's/^ *- ([a-z-]+): *(.*)$/\1\t\2/p' >"$work/simulated"
while IFS=$'\t' read -r name what <&3; do
  wanted "$name" "$@" || continue
  try "$name" "$what" "$simulate --bug $name --seeds 1000"
done 3<"$work/simulated"

for patch in proptests/planted/*.patch; do
  name=$(basename "$patch" .patch)
  wanted "$name" "$@" || continue
  git apply "$patch"
  try "$name" "$(sed -n 's/^Bug: //p' "$patch")" "$(sed -n 's/^Run: //p' "$patch")"
  git apply --reverse "$patch"
done

if [[ $missed -gt 0 ]]; then
  echo "planted: $missed found by nothing" >&2
  exit 1
fi
