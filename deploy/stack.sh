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
# Generous: on a busy machine, a slow answer must not be taken for a dead server and the server started anew.
readonly QUERY_TIMEOUT_S=15
# One installation step: a package, the Debian tree, FerretDB.
readonly INSTALL_TIMEOUT_S=${POSTFOLD_INSTALL_TIMEOUT_S:-1500}
readonly LOCK_TIMEOUT_S=1800
readonly DOCKER_TIMEOUT_S=600
readonly LOG_TAIL_LINES=25
readonly POSTGRES_MAJOR_MIN=15
readonly MONGOD_MAJOR_MIN=7
# Default ports are a block of three chosen by the stack's path, so that several stacks on one machine rarely
# meet. The range ends below the ports that Linux hands out to clients (32768 and up).
readonly PORT_FIRST=20000 PORT_BLOCKS=4000
readonly PORT_NAMES=(POSTFOLD_PG_PORT POSTFOLD_MONGO_PORT POSTFOLD_DOCUMENTDB_PORT)

# Some build machines set no HOME; Go and the cache need one.
export HOME=${HOME:-~}
# libpq reads PGHOST, PGOPTIONS and the like; those of the caller's shell must not steer our health checks.
for variable in "${!PG@}"; do unset "$variable"; done

DEPLOY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
CHECKOUT=$(dirname "$DEPLOY")
STACK=${POSTFOLD_STACK_DIR:-$CHECKOUT/.stack}
RUN=$STACK/run
LOGS=$STACK/log
STACK_HASH=$(printf '%s' "${POSTFOLD_STACK_DIR:-$CHECKOUT}" | cksum | cut -d ' ' -f 1)
readonly DEPLOY CHECKOUT STACK RUN LOGS STACK_HASH
# Where PostgreSQL's data goes when the account that runs it cannot reach the stack.
readonly FAR_DIR=/var/tmp/postfold-$STACK_HASH
# Where tests have servers to kill.
readonly FAULTS_DIR=$CHECKOUT/.stack/faults

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
  - set DATABASE_URL (PostgreSQL $POSTGRES_MAJOR_MIN+) and MONGODB_URI (MongoDB $MONGOD_MAJOR_MIN+) to servers you have;
  - install PostgreSQL $POSTGRES_MAJOR_MIN+ and MongoDB $MONGOD_MAJOR_MIN+ (on Debian or Ubuntu, as root, this script does so itself);
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

# In the foreground, so that Ctrl-C still reaches the command.
run_install() {
  local name=$1
  shift
  run_logged "$name" timeout --foreground --kill-after=10 "$INSTALL_TIMEOUT_S" "$@"
}

# Some systems have no `timeout`; there, a hung server hangs the check.
bounded() {
  local seconds=$1
  shift
  if have timeout; then timeout "$seconds" "$@"; else "$@"; fi
}

on_linux() { [[ $(uname -s) == Linux ]]; }
can_apt() { [[ $EUID -eq 0 ]] && have apt-get && [[ -e /etc/debian_version ]]; }

apt_updated=no
apt_install() {
  say "installing packages: $*"
  # Finishes what an interrupted run may have left half-installed; apt-get refuses to work before that.
  run_install dpkg dpkg --configure -a
  if [[ $apt_updated == no ]]; then
    run_install apt-update apt-get update
    apt_updated=yes
  fi
  run_install apt-install env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

usage() {
  echo "usage: stack.sh up | down | env | status | clean | kill postgres|mongo|gateway" >&2
  exit 2
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
    # Not "$BASHPID" twice: inside $(...) that is the pid of the substitution.
    pid=$BASHPID
    printf '%s %s %s\n' "$pid" "$(process_start "$pid")" "$(boot_id)" >"$RUN/$name.pid.new"
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
  local i name value port=$((PORT_FIRST + STACK_HASH % PORT_BLOCKS * 3))
  for i in "${!PORT_NAMES[@]}"; do
    name=${PORT_NAMES[i]}
    value=$(sed -n "s/^$name=//p" "$STACK/env" 2>/dev/null || true)
    value=${!name:-${value:-$((port + i))}}
    { [[ $value =~ ^[1-9][0-9]{0,4}$ ]] && ((value < 65536)); } || die "$name is not a port number: $value"
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

# --- Docker -------------------------------------------------------------------------------------------------

compose() {
  POSTFOLD_PG_PORT=$POSTFOLD_PG_PORT POSTFOLD_MONGO_PORT=$POSTFOLD_MONGO_PORT \
    docker compose --project-name "postfold-$STACK_HASH" --file "$DEPLOY/compose.yaml" "$@"
}

docker_usable() {
  have docker && bounded "$QUERY_TIMEOUT_S" docker info >/dev/null 2>&1 || return 1
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
  [[ -e $RUN/$1.docker ]] || return 0
  if docker_usable; then
    say "stopping the container of $1"
    run_logged "docker-$1" compose rm --stop --force "$1"
  else
    say "Docker does not answer, so the container of $1 has ended with it"
  fi
  rm -f "$RUN/$1.docker"
}

# --- The servers --------------------------------------------------------------------------------------------

# shellcheck source=deploy/postgres.sh
. "$DEPLOY/postgres.sh"
# shellcheck source=deploy/mongo.sh
. "$DEPLOY/mongo.sh"
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
  of_faults down
  [[ -d $RUN ]] || return 0
  lock
  load_ports
  stop_mongo
  stop_postgres
}

# The servers that tests kill are a stack of their own within this one.
of_faults() {
  [[ $STACK != "$FAULTS_DIR" && -d $FAULTS_DIR ]] || return 0
  POSTFOLD_STACK_DIR=$FAULTS_DIR "$DEPLOY/stack.sh" "$1"
}

# For tests of what survives: no server is given a chance to end well. Only what was started here is ever killed.
kill_server() {
  local name pid names service=mongo
  case $1 in
    postgres) names=(postgres) service=postgres ;;
    mongo) names=(mongod documentdb) ;;
    gateway) names=(mongod ferretdb) ;;
    *) usage ;;
  esac
  for name in "${names[@]}"; do
    if pid=$(server_pid "$name"); then
      kill -s KILL "$pid"
      return
    fi
  done
  [[ -e $RUN/$service.docker ]] || die "no $1 of this stack runs"
  load_ports
  compose kill --signal KILL "$service"
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
  of_faults clean
  down
  if [[ -e $STACK/docker ]]; then
    docker_usable || die "start Docker again, so that the volumes of postfold-$STACK_HASH can be removed"
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

# Some programs end with a plain failure when interrupted; the reader should not be told that they failed.
trap 'say interrupted; exit 130' INT

[[ $STACK == /* ]] || die "POSTFOLD_STACK_DIR must be an absolute path: $STACK"
cd /
case ${1:-} in
  up) up ;;
  down) down ;;
  env) env_lines ;;
  status) status ;;
  clean) clean ;;
  kill) kill_server "${2:-}" ;;
  *) usage ;;
esac
