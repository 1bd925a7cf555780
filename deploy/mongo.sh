# shellcheck shell=bash
# MongoDB, the read models: sourced by stack.sh. Its fourth way is in documentdb.sh.

own_mongodb_uri() { printf 'mongodb://127.0.0.1:%s/postfold' "$POSTFOLD_MONGO_PORT"; }
external_mongo() { [[ -n ${MONGODB_URI:-} && $MONGODB_URI != "$(own_mongodb_uri)" ]]; }

# Sends {ping: 1, $db: "admin"} as an OP_MSG and looks for {ok: 1.0} in the answer: the same check for every way,
# with no client program. (FerretDB asks its database before it answers a ping.)
mongo_ping() {
  local reply
  # shellcheck disable=SC2016 # $db is the protocol's
  reply=$(bounded "$QUERY_TIMEOUT_S" bash -c '
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
    die_no_way MongoDB "no usable installation, no Docker engine that answers, and not Debian or Ubuntu as root"
  fi
}

stop_mongo() {
  stop_docker mongo
  stop_server mongod TERM KILL
  stop_server ferretdb TERM KILL
  stop_server documentdb INT QUIT
}
