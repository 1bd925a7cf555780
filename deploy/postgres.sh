# shellcheck shell=bash
# PostgreSQL, the log: sourced by stack.sh.

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
    say "PostgreSQL runs as $owner, which cannot reach $STACK; its data is in $pg_dir"
  fi
}

# Sets `pg_bin` to the newest usable installation, or to the one that made the data there is.
find_postgres() {
  local dir major made_by best=0
  pg_bin="" pg_found=""
  made_by=$(cat "$STACK/postgres/PG_VERSION" "$FAR_DIR/postgres/PG_VERSION" 2>/dev/null | head -n 1) || true
  for dir in "$(dirname "$(command -v initdb || echo /none/initdb)")" \
    /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin; do
    [[ -x $dir/initdb && -x $dir/postgres && -x $dir/psql ]] || continue
    major=$("$dir/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
    pg_found+=" $major"
    ((major >= POSTGRES_MAJOR_MIN && major > best)) || continue
    [[ -z $made_by || $made_by == "$major" ]] || continue
    best=$major pg_bin=$dir
  done
  [[ -z $pg_bin ]] || return 0
  [[ -z $made_by || -z $pg_found ]] ||
    die "the data in $STACK was made by PostgreSQL $made_by, but installed is:$pg_found; run 'make clean' to begin anew"
  [[ -z $pg_found ]] || say "PostgreSQL installed here is too old (found:$pg_found; needed: $POSTGRES_MAJOR_MIN or later)"
  return 1
}

# The superuser's reserved connections let this through when every other one is taken.
pg_query() {
  bounded "$QUERY_TIMEOUT_S" "$pg_bin/psql" -X -w -h 127.0.0.1 -p "$POSTFOLD_PG_PORT" -U postfold -d postgres -Atq -c "$1"
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
  stop_postgres
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
    find_postgres || die_no_way PostgreSQL "the distribution's package is older than $POSTGRES_MAJOR_MIN"
    say "PostgreSQL: $pg_bin; a private instance on port $POSTFOLD_PG_PORT"
  else
    die_no_way PostgreSQL "no usable installation, no Docker engine that answers, and not Debian or Ubuntu as root"
  fi
  start_private_postgres
}

stop_postgres() {
  stop_docker postgres
  stop_server postgres INT QUIT
}
