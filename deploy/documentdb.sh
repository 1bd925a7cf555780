# shellcheck shell=bash
# Way 4 for MongoDB, sourced by stack.sh: no distribution packages mongod, but Debian's unstable suite has
# DocumentDB, an open document engine inside PostgreSQL, and FerretDB in front of it speaks MongoDB's protocol.
# A Debian tree with DocumentDB is made once in the user's cache, outside of any checkout. Its server runs inside
# that tree with the data directory of the checkout; documentdb-root.sh says how.

readonly FERRETDB_VERSION=v2.7.0
readonly GO_MINOR_MIN=25 # what FerretDB's go.mod asks for
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/postfold
readonly ROOT=$CACHE/documentdb-root
readonly FERRETDB=$CACHE/ferretdb-$FERRETDB_VERSION

in_root() { unshare --mount -- bash "$DEPLOY/documentdb-root.sh" "$@"; }

# A build has a pid namespace too: debootstrap and apt go on after an interrupt, but not without their namespace.
readonly BUILD_IN_ROOT=(unshare --mount --pid --fork --kill-child -- bash "$DEPLOY/documentdb-root.sh")

# The cache is built under a lock of its own: the checkouts of one machine share it. An interrupted build leaves
# only a *.building tree, which the next build removes; the lock is inherited by the build's processes, so it
# stays held until the last of them has ended.
build_cache() {
  [[ -x $FERRETDB && -d $ROOT ]] && return 0
  mkdir -p "$CACHE"
  exec 8>"$CACHE/lock"
  if ! flock -n 8; then
    say "another run is filling $CACHE; waiting for it"
    flock -w "$LOCK_TIMEOUT_S" 8 || die "another run has held $CACHE/lock for $LOCK_TIMEOUT_S s"
  fi
  [[ -d $ROOT ]] || build_root
  [[ -x $FERRETDB ]] || build_ferretdb
  exec 8>&-
}

build_root() {
  local refusal
  refusal=$(unshare --mount --pid --fork -- true 2>&1) ||
    die "DocumentDB needs a mount namespace of its own, which this machine refuses (${refusal:-unshare failed});" \
      "set MONGODB_URI, install mongod or start Docker instead"
  have debootstrap || apt_install debootstrap
  [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || apt_install debian-archive-keyring
  remove_tree "$ROOT.building"
  say "building a Debian tree with DocumentDB in $ROOT (1 GB, a minute or two, only this once)"
  run_install documentdb-root "${BUILD_IN_ROOT[@]}" build "$ROOT.building" "$(debian_mirror)"
  mv "$ROOT.building" "$ROOT"
}

# The mirror this machine already uses, if it is a Debian; otherwise debootstrap knows one.
debian_mirror() {
  # shellcheck disable=SC2016 # apt's placeholders
  apt-get indextargets --format '$(ORIGIN) $(SUITE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian" && $2 !~ /security|updates|backports/ { print $3; exit }'
}

find_go() {
  local go version
  for go in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-1.*/bin/go; do
    [[ -x $go ]] || continue
    version=$("$go" env GOVERSION)
    if [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= GO_MINOR_MIN)); then
      printf '%s' "$go"
      return
    fi
  done
  return 1
}

# Built static, so that a binary made inside the tree runs outside of it.
build_ferretdb() {
  local go package=github.com/FerretDB/FerretDB/v2/cmd/ferretdb@$FERRETDB_VERSION
  remove_tree "$CACHE/ferretdb.building"
  say "building FerretDB $FERRETDB_VERSION (a minute or two, only this once)"
  if go=$(find_go); then
    run_install ferretdb-build env CGO_ENABLED=0 GOFLAGS='' GOWORK=off GOBIN="$CACHE/ferretdb.building" \
      "$go" install "$package"
  else
    say "no Go 1.$GO_MINOR_MIN or later is installed here; using one inside the Debian tree"
    run_install ferretdb-build "${BUILD_IN_ROOT[@]}" build-ferretdb "$ROOT" "$CACHE/ferretdb.building" "$package"
  fi
  mv "$CACHE/ferretdb.building/ferretdb" "$FERRETDB"
  remove_tree "$CACHE/ferretdb.building"
}

documentdb_query() {
  bounded "$START_TIMEOUT_S" unshare --mount -- bash "$DEPLOY/documentdb-root.sh" run "$ROOT" "$documentdb_data" \
    psql -X -w -h 127.0.0.1 -p "$POSTFOLD_DOCUMENTDB_PORT" -d postgres -Atq -c "$1"
}

documentdb_up() {
  build_cache
  local major
  major=$(in_root major "$ROOT")
  # Data of one PostgreSQL major cannot be read by the next, and the cached tree may be rebuilt with a newer one.
  documentdb_data=$STACK/documentdb-$major
  claim_port POSTFOLD_DOCUMENTDB_PORT DocumentDB
  claim_port POSTFOLD_MONGO_PORT FerretDB
  if [[ ! -e $documentdb_data/PG_VERSION ]]; then
    remove_tree "$documentdb_data"
    remove_tree "$documentdb_data.new"
    mkdir "$documentdb_data.new"
    run_logged documentdb-initdb in_root run "$ROOT" "$documentdb_data.new" \
      initdb -D /srv -U postgres -A trust -E UTF8 --locale=C.UTF-8
    mv "$documentdb_data.new" "$documentdb_data"
  fi
  remove_stale_lock "$documentdb_data"
  start_server documentdb unshare --mount -- bash "$DEPLOY/documentdb-root.sh" run "$ROOT" "$documentdb_data" \
    postgres -D /srv -c listen_addresses=127.0.0.1 -c port="$POSTFOLD_DOCUMENTDB_PORT" -c unix_socket_directories= \
    -c cron.log_statement=off -c cron.log_run=off \
    -c shared_preload_libraries=pg_cron,pg_documentdb_core,pg_documentdb -c cron.database_name=postgres \
    -c max_connections=200 -c shared_buffers=512MB -c max_wal_size=4GB -c fsync=on
  wait_ready documentdb documentdb_query 'select 1'
  run_logged documentdb-extension documentdb_query 'create extension if not exists documentdb cascade'
  mkdir -p "$STACK/ferretdb"
  start_server ferretdb "$FERRETDB" --postgresql-url="postgres://postgres@127.0.0.1:$POSTFOLD_DOCUMENTDB_PORT/postgres" \
    --listen-addr="127.0.0.1:$POSTFOLD_MONGO_PORT" --debug-addr=- --no-auth --telemetry=disable \
    --state-dir="$STACK/ferretdb" --log-level=error
  wait_ready ferretdb mongo_ping
}
