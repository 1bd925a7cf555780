#!/usr/bin/env bash
# Runs inside a mount namespace that stack.sh makes with `unshare --mount`: whatever is mounted here vanishes with
# the last process of the namespace, and a removal of the tree outside of it can never reach the machine's /dev.
#   build ROOT [MIRROR]                make the Debian tree with DocumentDB
#   build-ferretdb ROOT OUT PACKAGE    compile FerretDB with the Go of the tree
#   major ROOT                         print the PostgreSQL major that DocumentDB was installed for
#   run ROOT DATA PROGRAM ARGS...      become a PostgreSQL program of the tree, with DATA as /srv
set -euo pipefail

[[ $(readlink /proc/self/ns/mnt) != "$(readlink /proc/1/ns/mnt)" ]] || {
  echo "documentdb-root.sh: refusing to mount outside of a namespace of its own" >&2
  exit 1
}
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount_system() {
  mount -t proc proc "$1/proc"
  mount --bind /dev "$1/dev"
}

build() {
  local root=$1 mirror=${2:-} packages
  debootstrap --variant=minbase --include=ca-certificates sid "$root" ${mirror:+"$mirror"}
  # Name resolution, apt's settings (a proxy, say) and additional certificate authorities are the machine's.
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  cp -rn /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
  if [[ -d /usr/local/share/ca-certificates ]]; then
    cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates
  fi
  # Packages must neither start a server in the tree nor create a cluster there.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  mkdir -p "$root/etc/postgresql-common"
  echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.conf"
  mount_system "$root"
  chroot "$root" apt-get update
  # 18 is the major this is tried with; where it is gone, the newest there is.
  packages=$(chroot "$root" apt-cache search --names-only '^postgresql-[0-9]+-documentdb$' | cut -d ' ' -f 1 | sort -V)
  [[ -n $packages ]] || { echo "Debian unstable has no postgresql-*-documentdb package at the moment"; exit 1; }
  packages=$(grep -x postgresql-18-documentdb <<<"$packages" || tail -n 1 <<<"$packages")
  chroot "$root" apt-get install -y --no-install-recommends "$packages"
}

build_ferretdb() {
  local root=$1 out=$2 package=$3
  mkdir "$out"
  mount_system "$root"
  mount --bind "$out" "$root/srv"
  chroot "$root" dpkg --configure -a
  chroot "$root" apt-get update
  chroot "$root" apt-get install -y --no-install-recommends golang-go
  chroot "$root" env HOME=/tmp/go-home GOPATH=/tmp/go-home/go GOFLAGS=-modcacherw CGO_ENABLED=0 GOBIN=/srv go install "$package"
  chroot "$root" rm -rf /tmp/go-home
  chroot "$root" apt-get purge -y --auto-remove golang-go
}

major() {
  local control
  for control in "$1"/usr/share/postgresql/*/extension/documentdb.control; do
    control=${control%/extension/*}
    printf '%s\n' "${control##*/}"
    return
  done
}

# Every step is an exec, so that the pid stack.sh wrote down is that of the server itself.
run() {
  local root=$1 data=$2 program=$3 uid gid
  shift 3
  IFS=: read -r _ _ uid gid _ < <(grep '^postgres:' "$root/etc/passwd")
  chown "$uid:$gid" "$data"
  mount_system "$root"
  # PostgreSQL keeps shared memory in /dev/shm; one of its own goes away with the namespace.
  mount -t tmpfs tmpfs "$root/dev/shm"
  mount --bind "$data" "$root/srv"
  exec chroot --userspec="$uid:$gid" "$root" "/usr/lib/postgresql/$(major "$root")/bin/$program" "$@"
}

# Bash acts on a signal only when no command runs in the foreground, hence the background and the wait. As this is
# the first process of a pid namespace, its end takes all of the build along.
interruptible() {
  trap 'exit 130' INT TERM
  "$@" &
  wait "$!"
}

command=$1
shift
case $command in
  build) interruptible build "$@" ;;
  build-ferretdb) interruptible build_ferretdb "$@" ;;
  major) major "$@" ;;
  run) run "$@" ;;
esac
