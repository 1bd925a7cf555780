#!/usr/bin/env bash
# Starts, checks and stops the two servers Postfold runs on: PostgreSQL (the log) and MongoDB or a server that
# speaks its protocol (the read models). For each server, the first of these that works:
#   1. DATABASE_URL / MONGODB_URI is set: that server is used and nothing is started.
#   2. The server is installed on this machine: a private instance with its data in .stack/.
#   3. A Docker engine answers: deploy/compose.yaml.
#   4. Debian or Ubuntu as root: packages (for MongoDB: DocumentDB and FerretDB, see documentdb.sh).
# Messages go to standard error; only `env` and `status` write to standard output.
set -euo pipefail

# --- Settings -----------------------------------------------------------------------------------------------

readonly START_TIMEOUT_S=${POSTFOLD_START_TIMEOUT_S:-60}
readonly STOP_TIMEOUT_S=${POSTFOLD_STOP_TIMEOUT_S:-30}
readonly QUERY_TIMEOUT_S=5
readonly LOCK_TIMEOUT_S=1800
readonly DOCKER_TIMEOUT_S=600
readonly LOG_TAIL_LINES=25
readonly PG_MAJOR_MIN=15
readonly MONGOD_MAJOR_MIN=7
# Default ports are a block of three chosen by the checkout's path, so that several checkouts on one machine
# rarely meet. The range ends below the ports that Linux hands out to clients (32768 and up).
readonly PORT_FIRST=20000 PORT_BLOCKS=4000
readonly PORT_NAMES=(POSTFOLD_PG_PORT POSTFOLD_MONGO_PORT POSTFOLD_DOCUMENTDB_PORT)

# libpq reads PGHOST, PGOPTIONS and the like; those of the caller's shell must not steer our health checks.
for variable in "${!PG@}"; do
  [[ $variable == PG_MAJOR_MIN ]] || unset "$variable"
done

DEPLOY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
CHECKOUT=$(dirname "$DEPLOY")
STACK=$CHECKOUT/.stack
RUN=$STACK/run
LOGS=$STACK/log
CHECKOUT_HASH=$(printf '%s' "$CHECKOUT" | cksum | cut -d ' ' -f 1)
readonly DEPLOY CHECKOUT STACK RUN LOGS CHECKOUT_HASH
# Where PostgreSQL's data goes when the account that runs it cannot reach the checkout.
readonly FAR_DIR=/var/tmp/postfold-$CHECKOUT_HASH

# --- Messages -----------------------------------------------------------------------------------------------

say() { printf 'stack: %s\n' "$*" >&2; }

die() {
  printf 'stack: error: %s\n' "$*" >&2
  exit 1
}

die_with_log() {
  local log=$LOGS/$1.log
  shift
  printf 'stack: error: %s\nstack: the end of %s:\n' "$*" "$log" >&2
  tail -n "$LOG_TAIL_LINES" "$log" >&2 || true
  exit 1
}

die_no_way() {
  die "no $1 can be had here ($2). Three ways out:
  - set DATABASE_URL (PostgreSQL $PG_MAJOR_MIN+) and MONGODB_URI (MongoDB $MONGOD_MAJOR_MIN+) to servers you have;
  - install PostgreSQL $PG_MAJOR_MIN+ and MongoDB $MONGOD_MAJOR_MIN+ (on Debian or Ubuntu, as root, this script does so itself);
  - start a Docker engine with the compose plugin."
}

# Should a mount ever be left in the tree, what is mounted must survive the removal.
remove_tree() {
  if on_linux; then rm -rf --one-file-system "$1"; else rm -rf "$1"; fi
}

have() { command -v "$1" >/dev/null 2>&1; }

# Long, chatty work goes to a log of its own; the reader sees one line, and the end of the log if it fails.
run_logged() {
  local name=$1
  shift
  "$@" </dev/null >"$LOGS/$name.log" 2>&1 || die_with_log "$name" "failed: $*"
}

on_linux() { [[ $(uname -s) == Linux ]]; }
can_apt() { [[ $EUID -eq 0 ]] && have apt-get && [[ -e /etc/debian_version ]]; }

apt_updated=no
apt_install() {
  say "installing packages: $*"
  if [[ $apt_updated == no ]]; then
    run_logged apt-update apt-get update
    apt_updated=yes
  fi
  run_logged apt-install env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

# --- Processes: only those whose pid and start time we wrote are ours ----------------------------------------

# The start time tells a server of ours from a stranger that was given the same pid later. A zombie has ended.
process_start() {
  local stat fields
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"
  [[ ${fields[0]} != [ZX] ]] || return 1
  printf '%s' "${fields[19]}"
}

boot_id() { cat /proc/sys/kernel/random/boot_id; }

# Prints the pid of the named server if it is alive and ours.
server_pid() {
  local pid start boot
  { read -r pid start boot <"$RUN/$1.pid"; } 2>/dev/null || return 1
  [[ -n $boot && $boot == "$(boot_id)" && $(process_start "$pid") == "$start" ]] || return 1
  printf '%s' "$pid"
}

# The child writes its own pid and only then becomes the server, so an interrupted start is never lost sight of.
# Every step of COMMAND must be an exec, so that this pid stays the server's.
start_server() {
  local name=$1
  shift
  rm -f "$RUN/$name.pid"
  [[ ! -e $LOGS/$name.log ]] || mv -f "$LOGS/$name.log" "$LOGS/$name.log.old"
  (
    printf '%s %s %s\n' "$BASHPID" "$(process_start "$BASHPID")" "$(boot_id)" >"$RUN/$name.pid.new"
    mv "$RUN/$name.pid.new" "$RUN/$name.pid"
    exec setsid "$@"
  ) </dev/null >"$LOGS/$name.log" 2>&1 8>&- 9>&- &
  local deadline=$((SECONDS + QUERY_TIMEOUT_S))
  until [[ -e $RUN/$name.pid ]]; do
    ((SECONDS < deadline)) || die_with_log "$name" "could not start $name"
    sleep 0.02
  done
}

# wait_ready NAME CHECK...: NAME is a server we started; CHECK is a real query.
wait_ready() {
  local name=$1 deadline=$((SECONDS + START_TIMEOUT_S))
  shift
  until "$@" >/dev/null 2>&1; do
    server_pid "$name" >/dev/null || die_with_log "$name" "$name ended while starting"
    ((SECONDS < deadline)) ||
      die_with_log "$name" "$name gave no answer within $START_TIMEOUT_S s (POSTFOLD_START_TIMEOUT_S)"
    sleep 0.1
  done
}

wait_gone() {
  local deadline=$((SECONDS + $2))
  while server_pid "$1" >/dev/null; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# stop_server NAME SIGNAL HARD_SIGNAL
stop_server() {
  local name=$1 pid
  if pid=$(server_pid "$name"); then
    say "stopping $name (pid $pid)"
    kill -s "$2" "$pid" 2>/dev/null || true
    if ! wait_gone "$name" "$STOP_TIMEOUT_S"; then
      say "$name did not stop within $STOP_TIMEOUT_S s (POSTFOLD_STOP_TIMEOUT_S); sending SIG$3"
      kill -s "$3" "$pid" 2>/dev/null || true
      wait_gone "$name" "$STOP_TIMEOUT_S" || die_with_log "$name" "$name (pid $pid) cannot be stopped"
    fi
  fi
  rm -f "$RUN/$name.pid"
}

# --- Ports --------------------------------------------------------------------------------------------------

load_ports() {
  local i name value port=$((PORT_FIRST + CHECKOUT_HASH % PORT_BLOCKS * 3))
  for i in "${!PORT_NAMES[@]}"; do
    name=${PORT_NAMES[i]}
    value=$(sed -n "s/^$name=//p" "$STACK/env" 2>/dev/null || true)
    value=${!name:-${value:-$((port + i))}}
    [[ $value =~ ^[0-9]{1,5}$ ]] && ((value > 0 && value < 65536)) || die "$name is not a port number: $value"
    printf -v "$name" '%s' "$value"
  done
}

recorded_port() { sed -n "s/^$1=//p" "$STACK/env" 2>/dev/null; }

save_ports() {
  local name
  for name in "${PORT_NAMES[@]}"; do printf '%s=%s\n' "$name" "${!name}"; done >"$STACK/env.new"
  mv "$STACK/env.new" "$STACK/env"
}

port_busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# claim_port VARIABLE SERVER
claim_port() {
  ! port_busy "${!1}" ||
    die "port ${!1} on 127.0.0.1, wanted for $2, is taken by another program; set $1 to a free port"
}

# --- PostgreSQL ---------------------------------------------------------------------------------------------

own_database_url() { printf 'postgres://postfold@127.0.0.1:%s/postfold' "$POSTFOLD_PG_PORT"; }

# A shell that has evaluated `stack.sh env` carries our own URL; that is not a server of the caller's.
external_postgres() { [[ -n ${DATABASE_URL:-} && $DATABASE_URL != "$(own_database_url)" ]]; }

# initdb and postgres refuse to run as root. Sets `owner`, `as_owner` (a command prefix) and `pg_dir`.
choose_pg_owner() {
  owner=$(id -un) as_owner=() pg_dir=$STACK
  [[ $EUID -eq 0 ]] || return 0
  owner=postgres
  if ! id "$owner" >/dev/null 2>&1; then
    owner=postfold
    id "$owner" >/dev/null 2>&1 || run_logged useradd useradd --system --shell /usr/sbin/nologin "$owner"
  fi
  as_owner=(setpriv --reuid="$owner" --regid="$(id -g "$owner")" --clear-groups --)
  if ! "${as_owner[@]}" test -x "$STACK"; then
    pg_dir=$FAR_DIR
    mkdir -p "$pg_dir"
    # /var/tmp is open to everyone: a directory that someone else put there first is not to be trusted.
    [[ -O $pg_dir && ! -L $pg_dir ]] || die "$pg_dir belongs to another user; remove it"
    chmod 755 "$pg_dir"
    say "PostgreSQL runs as $owner, which cannot reach $CHECKOUT; its data is in $pg_dir"
  fi
}

# Sets `pg_bin` to the newest usable installation, or to the one that made the data there is.
find_postgres() {
  local dir major made_by="" best=0
  pg_bin="" pg_found=""
  [[ ! -r $STACK/pg_major ]] || made_by=$(<"$STACK/pg_major")
  for dir in "$(dirname "$(command -v initdb || echo /none/initdb)")" \
    /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin; do
    [[ -x $dir/initdb && -x $dir/postgres && -x $dir/psql ]] || continue
    major=$("$dir/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
    pg_found+=" $major"
    ((major >= PG_MAJOR_MIN && major > best)) || continue
    [[ -z $made_by || $made_by == "$major" ]] || continue
    best=$major pg_bin=$dir
  done
  [[ -z $pg_bin ]] || return 0
  [[ -z $made_by || -z $pg_found ]] ||
    die "the data in .stack was made by PostgreSQL $made_by, but installed is:$pg_found; run 'make clean' to begin anew"
  [[ -z $pg_found ]] || say "PostgreSQL installed here is too old (found:$pg_found; needed: $PG_MAJOR_MIN or later)"
  return 1
}

pg_query() {
  timeout "$QUERY_TIMEOUT_S" "$pg_bin/psql" -X -w -h 127.0.0.1 -p "$POSTFOLD_PG_PORT" -U postfold -d postgres -Atq -c "$1"
}

# A postmaster.pid left by a crash stops the next start if the pid has since gone to another process of the
# same user. Only a pid that is no PostgreSQL is overruled.
remove_stale_lock() {
  local pid
  { read -r pid <"$1/postmaster.pid"; } 2>/dev/null || return 0
  ! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q postgres || return 0
  rm -f "$1/postmaster.pid"
}

start_private_postgres() {
  local data
  choose_pg_owner
  data=$pg_dir/postgres
  claim_port POSTFOLD_PG_PORT PostgreSQL
  if [[ ! -e $data/PG_VERSION ]]; then
    rm -rf "$data" "$data.new"
    mkdir "$data.new"
    [[ $EUID -ne 0 ]] || chown "$owner" "$data.new"
    run_logged initdb "${as_owner[@]}" "$pg_bin/initdb" -D "$data.new" -U postfold -A trust -E UTF8 --locale=C
    cp "$data.new/PG_VERSION" "$STACK/pg_major"
    mv "$data.new" "$data"
  fi
  remove_stale_lock "$data"
  # The stack is for tests of durability too: fsync stays on. TCP on loopback is the only way in.
  start_server postgres "${as_owner[@]}" "$pg_bin/postgres" -D "$data" \
    -c listen_addresses=127.0.0.1 -c port="$POSTFOLD_PG_PORT" -c unix_socket_directories= \
    -c max_connections=200 -c shared_buffers=512MB -c max_wal_size=4GB -c fsync=on
  wait_ready postgres pg_query 'select 1'
  [[ $(pg_query "select 1 from pg_database where datname = 'postfold'") == 1 ]] || pg_query 'create database postfold'
}

# Sets `pg_way` to how our PostgreSQL runs, or to nothing if it does not.
postgres_runs() {
  pg_way=""
  if server_pid postgres >/dev/null; then
    pg_way="the private instance"
  elif docker_runs postgres; then
    pg_way="the container"
  fi
  [[ -n $pg_way ]]
}

postgres_healthy() {
  postgres_runs || return 1
  [[ $pg_way != "the private instance" ]] || { find_postgres && pg_query 'select 1' >/dev/null 2>&1; }
}

up_postgres() {
  if external_postgres; then
    say "PostgreSQL: DATABASE_URL is set; using it, starting nothing"
    return
  elif postgres_healthy; then
    say "PostgreSQL: healthy, $pg_way on port $POSTFOLD_PG_PORT"
    return
  fi
  stop_server postgres INT QUIT
  if on_linux && find_postgres; then
    say "PostgreSQL: $pg_bin is installed; a private instance on port $POSTFOLD_PG_PORT"
  elif docker_usable; then
    say "PostgreSQL: not installed, Docker answers; a container on port $POSTFOLD_PG_PORT"
    docker_up postgres POSTFOLD_PG_PORT
    return
  elif on_linux && can_apt; then
    say "PostgreSQL: neither installed nor Docker; installing the distribution's package"
    # Debian's package would otherwise create and start a cluster of its own on port 5432.
    if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
      mkdir -p /etc/postgresql-common
      echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    apt_install postgresql
    find_postgres || die_no_way PostgreSQL "the distribution's package is older than $PG_MAJOR_MIN"
    say "PostgreSQL: $pg_bin; a private instance on port $POSTFOLD_PG_PORT"
  else
    die_no_way PostgreSQL "none is installed, no Docker engine answers, and this is not Debian or Ubuntu as root"
  fi
  start_private_postgres
}

# --- MongoDB ------------------------------------------------------------------------------------------------

own_mongodb_uri() { printf 'mongodb://127.0.0.1:%s/postfold' "$POSTFOLD_MONGO_PORT"; }
external_mongo() { [[ -n ${MONGODB_URI:-} && $MONGODB_URI != "$(own_mongodb_uri)" ]]; }

# Sends {ping: 1, $db: "admin"} as an OP_MSG and looks for {ok: 1.0} in the answer: the same check for every way,
# with no client program. (FerretDB asks its database before it answers a ping.)
mongo_ping() {
  local reply
  # shellcheck disable=SC2016 # $db is the protocol's
  reply=$(timeout "$QUERY_TIMEOUT_S" bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf "\x33\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0" >&3
    printf "\x1e\0\0\0\x10ping\0\x01\0\0\0\x02\$db\0\x06\0\0\0admin\0\0" >&3
    length=$(head -c 4 <&3 | od -An -tu4)
    head -c $((length - 4)) <&3 | od -An -v -tx1 | tr -d " \n"' ping "$POSTFOLD_MONGO_PORT" 2>/dev/null) || return 1
  [[ $reply == *016f6b00000000000000f03f* ]]
}

find_mongod() {
  local version
  have mongod || return 1
  version=$(mongod --version | sed -n 's/^db version v//p')
  ((${version%%.*} >= MONGOD_MAJOR_MIN)) && return 0
  say "mongod installed here is too old (found: $version; needed: $MONGOD_MAJOR_MIN or later)"
  return 1
}

start_private_mongod() {
  claim_port POSTFOLD_MONGO_PORT MongoDB
  mkdir -p "$STACK/mongod"
  start_server mongod mongod --dbpath "$STACK/mongod" --bind_ip 127.0.0.1 --port "$POSTFOLD_MONGO_PORT" --nounixsocket
  wait_ready mongod mongo_ping
}

# Sets `mongo_way` to how our MongoDB runs, or to nothing if it does not.
mongo_runs() {
  mongo_way=""
  if server_pid mongod >/dev/null; then
    mongo_way="the private mongod"
  elif server_pid ferretdb >/dev/null && server_pid documentdb >/dev/null; then
    mongo_way="DocumentDB and FerretDB"
  elif docker_runs mongo; then
    mongo_way="the container"
  fi
  [[ -n $mongo_way ]]
}

mongo_healthy() { mongo_runs && mongo_ping; }

up_mongo() {
  if external_mongo; then
    say "MongoDB: MONGODB_URI is set; using it, starting nothing"
    return
  elif mongo_healthy; then
    say "MongoDB: healthy, $mongo_way on port $POSTFOLD_MONGO_PORT"
    return
  fi
  stop_mongo
  if on_linux && find_mongod; then
    say "MongoDB: mongod is installed; a private instance on port $POSTFOLD_MONGO_PORT"
    start_private_mongod
  elif docker_usable; then
    say "MongoDB: not installed, Docker answers; a container on port $POSTFOLD_MONGO_PORT"
    docker_up mongo POSTFOLD_MONGO_PORT
  elif on_linux && can_apt; then
    say "MongoDB: neither mongod nor Docker; DocumentDB behind FerretDB on port $POSTFOLD_MONGO_PORT"
    documentdb_up
  else
    die_no_way MongoDB "no mongod is installed, no Docker engine answers, and this is not Debian or Ubuntu as root"
  fi
}

stop_mongo() {
  stop_server mongod TERM KILL
  stop_server ferretdb TERM KILL
  stop_server documentdb INT QUIT
}

# --- Docker -------------------------------------------------------------------------------------------------

compose() {
  POSTFOLD_PG_PORT=$POSTFOLD_PG_PORT POSTFOLD_MONGO_PORT=$POSTFOLD_MONGO_PORT \
    docker compose --project-name "postfold-$CHECKOUT_HASH" --file "$DEPLOY/compose.yaml" "$@"
}

docker_usable() {
  have docker && timeout "$QUERY_TIMEOUT_S" docker info >/dev/null 2>&1 || return 1
  docker compose version >/dev/null 2>&1 && return 0
  say "a Docker engine answers, but 'docker compose' is missing"
  return 1
}

docker_up() {
  claim_port "$2" "$1"
  : >"$RUN/$1.docker"
  : >"$STACK/docker"
  run_logged "docker-$1" compose up --detach --wait --wait-timeout "$DOCKER_TIMEOUT_S" "$1"
}

# The mark is there only if an earlier run started the container.
docker_runs() {
  [[ -e $RUN/$1.docker ]] && [[ $(compose ps --status running --format '{{.Health}}' "$1" 2>/dev/null) == healthy ]]
}

stop_docker() {
  local service
  for service in postgres mongo; do
    [[ -e $RUN/$service.docker ]] || continue
    say "stopping the container of $service"
    run_logged "docker-$service" compose rm --stop --force "$service"
    rm -f "$RUN/$service.docker"
  done
}

# shellcheck source=deploy/documentdb.sh
. "$DEPLOY/documentdb.sh"

# --- Commands -----------------------------------------------------------------------------------------------

lock() {
  have flock || return 0
  exec 9>"$STACK/lock"
  flock -n 9 && return
  say "another run is at work on this checkout; waiting for it"
  flock -w "$LOCK_TIMEOUT_S" 9 || die "another run has held $STACK/lock for $LOCK_TIMEOUT_S s"
}

anything_runs() {
  local name
  for name in postgres mongod ferretdb documentdb; do
    ! server_pid "$name" >/dev/null || return 0
  done
  [[ -e $RUN/postgres.docker || -e $RUN/mongo.docker ]]
}

# A running server keeps its port; a wish for another one is not silently dropped.
check_port_wishes() {
  local name recorded
  anything_runs || return 0
  for name in "${PORT_NAMES[@]}"; do
    recorded=$(recorded_port "$name")
    [[ $recorded == "${!name}" ]] ||
      die "$name is ${!name}, but the stack runs with ${recorded:-another}; run 'make stack-down' first"
  done
}

up() {
  mkdir -p "$RUN" "$LOGS"
  chmod 755 "$STACK"
  lock
  load_ports
  check_port_wishes
  save_ports
  up_postgres
  up_mongo
  say "ready; 'make -s stack-env' prints the URLs"
}

down() {
  [[ -d $RUN ]] || return 0
  lock
  load_ports
  stop_docker
  stop_mongo
  stop_server postgres INT QUIT
}

status() {
  local all=0
  load_ports
  if external_postgres; then
    echo "PostgreSQL: DATABASE_URL"
  elif postgres_healthy; then
    echo "PostgreSQL: $pg_way, port $POSTFOLD_PG_PORT"
  else
    echo "PostgreSQL: not running"
    all=1
  fi
  if external_mongo; then
    echo "MongoDB: MONGODB_URI"
  elif mongo_healthy; then
    echo "MongoDB: $mongo_way, port $POSTFOLD_MONGO_PORT"
  else
    echo "MongoDB: not running"
    all=1
  fi
  return "$all"
}

# Prints nothing at all unless both servers can be named, so that `eval` never sets half of them.
env_lines() {
  local database_url=${DATABASE_URL:-} mongodb_uri=${MONGODB_URI:-}
  load_ports
  if ! external_postgres; then
    postgres_healthy || die "PostgreSQL is not running; start it with 'make stack'"
    database_url=$(own_database_url)
  fi
  if ! external_mongo; then
    mongo_healthy || die "MongoDB is not running; start it with 'make stack'"
    mongodb_uri=$(own_mongodb_uri)
  fi
  printf 'export DATABASE_URL=%q\nexport MONGODB_URI=%q\n' "$database_url" "$mongodb_uri"
}

clean() {
  down
  if have docker && [[ -e $STACK/docker ]]; then
    run_logged docker-clean compose down --volumes
  fi
  if [[ -d $STACK ]]; then
    say "removing $STACK"
    remove_tree "$STACK"
  fi
  if [[ -d $FAR_DIR && -O $FAR_DIR ]]; then
    say "removing $FAR_DIR"
    remove_tree "$FAR_DIR"
  fi
  [[ ! -d $CACHE ]] || say "kept $CACHE, which other checkouts share; remove it by hand if it is no longer wanted"
}

cd /
case ${1:-} in
  up) up ;;
  down) down ;;
  env) env_lines ;;
  status) status ;;
  clean) clean ;;
  *)
    echo "usage: stack.sh up | down | env | status | clean" >&2
    exit 2
    ;;
esac
