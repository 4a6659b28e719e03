# shellcheck shell=bash
# What the commands of this folder share: where things are, which processes are ours, how they start and how everything goes away.
# Sourced, not run. A command sets CLUSTER (this folder) first, then calls `options "$@"`, which sets DIR and ARGS.
# shellcheck disable=SC2034 # the names below are for the commands that source this file

NS=relay-e2e                       # the network namespace of the whole cluster
RUN=/run/relay-e2e                 # sockets, and what must not outlive a reboot
NODE_IP=172.30.0.1                 # the node, the API server (6443) and the DNS server (53)
PARTS=(containerd etcd apiserver manager scheduler kubelet dns proxy)
DEFAULT_DIR=${XDG_STATE_HOME:-$HOME/.local/state}/stream-relay/cluster
MARK=.relay-e2e-cluster            # a folder without this file is not ours to remove
# Folders that containerd, CNI and the kubelet use whatever they are told: covered by folders in DIR, in the cluster's own mount namespace.
COVERED=(/var/lib/cni /var/lib/kubelet /var/log/containers /run/containerd)
# What the kubelet sets for the whole machine: put back by `teardown`.
SYSCTLS=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)
PATH=$PATH:/usr/sbin:/sbin

say() { echo "${0##*/}: $*" >&2; }
die() { local code=$1; shift; say "$@"; exit "$code"; }

# Reads --dir DIR among the leading options. Without it: the folder of the cluster that is up, else the default.
options() {
  DIR=''
  ARGS=()
  while [[ ${1:-} == --* ]]; do
    if [ "$1" = --dir ]; then
      [ -n "${2:-}" ] || die 2 "--dir needs a folder"
      DIR=$(realpath -m "$2")
      shift
    else
      ARGS+=("$1")
    fi
    shift
  done
  ARGS+=("$@")
  if [ -z "$DIR" ]; then DIR=$(realpath -m "$(cat $RUN/dir 2>/dev/null || echo "$DEFAULT_DIR")"); fi
  # The path goes unquoted into a dozen configuration files, and Unix sockets have 108 bytes.
  [[ $DIR =~ ^/[A-Za-z0-9/._-]+$ ]] || die 2 "a path with other characters than A-Z a-z 0-9 / . _ - cannot be the state folder: $DIR"
}

needs_root() { [ "$(id -u)" -eq 0 ] || die 2 "only root can do this (namespaces, mounts, containerd)"; }

# One up, down or start at a time. The lock is on the folder /run itself, so that it leaves no file.
lock() {
  exec 9</run
  flock -n 9 && return
  say "another command of the cluster is at work; waiting for it"
  flock 9
}

# ---- processes

# When a process began, in clock ticks after boot: with the pid it names one process for good. Empty when there is none.
begun() { sed -E 's/^.*\) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# True when a pid runs the recorded command line. Through a pipe: files in /proc say they are empty, and cmp believes it.
# shellcheck disable=SC2002 # the process may be gone: an error of cat is no error
runs() { cat "/proc/$1/cmdline" 2>/dev/null | cmp -s - "$DIR/parts/$2.cmd"; }

# True when the recorded pid is still the process that was started: same beginning, same command line.
alive() {
  local pid since
  [ -e "$DIR/parts/$1.pid" ] && read -r pid since <"$DIR/parts/$1.pid" || return 1
  [ -n "$since" ] && [ "$(begun "$pid")" = "$since" ] && runs "$pid" "$1"
}

pid_of() { cut -d' ' -f1 "$DIR/parts/$1.pid"; }

# The parts that are alive, or with `dead` those that are not.
parts() {
  local part
  for part in "${PARTS[@]}"; do
    if alive "$part"; then [ "$1" = alive ] && echo "$part"; else [ "$1" = dead ] && echo "$part"; fi
  done
  return 0
}

# Starts a part with the command line in DIR/parts, detached from this shell, inside the cluster's namespaces.
# containerd makes the mount namespace and the kubelet joins it: no mount of a pod is ever seen by the rest of the machine.
start_part() {
  local part=$1 argv pid inside=(nsenter "--net=/run/netns/$NS")
  mapfile -d '' -t argv <"$DIR/parts/$part.cmd"
  case $part in
    containerd) inside+=(-- unshare --mount --propagation slave "$CLUSTER/cover" "$DIR" "${COVERED[@]}") ;;
    kubelet) inside+=(--target "$(pid_of containerd)" --mount) ;;
  esac
  setsid env -i "PATH=$PATH" "HOME=$DIR" "${inside[@]}" -- "${argv[@]}" >>"$DIR/logs/$part.log" 2>&1 </dev/null 9>&- &
  pid=$!
  disown $pid
  echo "$pid $(begun $pid)" >"$DIR/parts/$part.pid"
  for _ in $(seq 100); do
    if runs $pid "$part" || [ ! -e "/proc/$pid" ]; then return; fi
    sleep 0.05
  done
}

# kill -9 and wait until it is gone: nothing of a cluster that is thrown away is worth a graceful end.
kill_part() {
  local pid
  alive "$1" || return 0
  pid=$(pid_of "$1")
  kill -9 "$pid" 2>/dev/null || true
  for _ in $(seq 100); do
    alive "$1" || return 0
    sleep 0.05
  done
  say "$1 (pid $pid) does not die"
}

in_ns() { nsenter "--net=/run/netns/$NS" -- "$@"; }
kubectl() { in_ns "$(cat "$DIR/bin")/kubectl" --kubeconfig "$DIR/admin.kubeconfig" --request-timeout=5s "$@"; }
tail_log() { [ -s "$DIR/logs/$1.log" ] && { say "the end of the log of $1:"; tail -n 15 "$DIR/logs/$1.log" >&2; }; return 0; }

# Waits until a command succeeds. usage: wait_for PART SECONDS WHAT COMMAND...; fails at once when PART has died.
wait_for() {
  local part=$1 end=$((SECONDS + $2)) what=$3
  shift 3
  until ("$@") >/dev/null 2>&1; do # a subshell, so that an interrupt's messages do not go where the command's go
    if ! alive "$part"; then
      tail_log "$part"
      die 1 "$part died while waiting for: $what"
    fi
    if [ $SECONDS -ge $end ]; then
      tail_log "$part"
      die 1 "waited in vain for: $what"
    fi
    sleep 0.1
  done
}

# ---- what a cluster leaves on the machine, and how it goes

cgroups() {
  awk '$3 ~ /^cgroup2?$/ {print $2 "/'$NS'"}' /proc/self/mounts | while read -r at; do
    if [ -d "$at" ]; then echo "$at"; fi
  done
}

# Processes of pods (by cgroup), and the shims and runc calls of our containerd (by their command line).
pod_processes() {
  local at
  # A 0 stands for a process of another PID namespace; to kill, 0 would be this process group.
  cgroups | while read -r at; do find "$at" -name cgroup.procs -exec cat {} + 2>/dev/null; done | sed '/^0$/d' | sort -u
  pgrep -f "^[^ ]*(containerd-shim[^ ]*|runc) .*$RUN/" || true
}

kill_pods() {
  local pids
  for _ in $(seq 100); do
    pids=$(pod_processes 2>/dev/null)
    [ -n "$pids" ] || return 0
    # shellcheck disable=SC2086 # one argument a pid
    kill -9 $pids 2>/dev/null || true
    sleep 0.05
  done
  say "these processes of pods do not die:" "${pids//$'\n'/ }"
}

remove_cgroups() {
  local at
  for _ in $(seq 60); do
    [ -n "$(cgroups)" ] || return 0
    cgroups | while read -r at; do find "$at" -depth -type d -exec rmdir {} \; 2>/dev/null || true; done
    sleep 0.05
  done
  say "cgroups that cannot be removed:" "$(cgroups | tr '\n' ' ')"
}

remove_network() {
  local left
  if [ -e /run/netns/$NS ]; then
    left=$(ip netns pids $NS 2>/dev/null | tr '\n' ' ')
    [ -z "$left" ] || say "these processes still use the cluster's network, and are not the cluster's: $left"
    ip netns del $NS 2>/dev/null || rm -f /run/netns/$NS
  fi
  # `ip netns add` mounts the folder on itself; nothing needs that when it was we who made it.
  if [ -e $RUN/netns-made ] && [ -z "$(ls /run/netns)" ]; then
    umount /run/netns 2>/dev/null || true
    rmdir /run/netns 2>/dev/null || true
  fi
}

# Mounts below a folder, deepest first. There are none while the mount namespace works; a folder must never be removed through one.
unmount_below() {
  local at
  awk -v a="$1/" 'index($2 "/", a) == 1 {print $2}' /proc/self/mounts | sort -r | while read -r at; do umount -l "$at"; done
}

# Removes every trace of a cluster, running or crashed. Safe to repeat.
teardown() {
  local part at
  for part in kubelet manager scheduler apiserver etcd dns proxy containerd; do kill_part "$part"; done
  kill_pods
  remove_cgroups
  remove_network
  unmount_below "$DIR"
  unmount_below $RUN
  if [ -e $RUN/sysctls ]; then sysctl -q -p $RUN/sysctls >/dev/null 2>&1 || say "cannot put back: $(tr '\n' ' ' <$RUN/sysctls)"; fi
  if [ -e $RUN/covered ]; then while read -r at; do rmdir "$at" 2>/dev/null || true; done <$RUN/covered; fi
  if [ -e "$DIR/$MARK" ]; then rm -rf --one-file-system "$DIR"; fi
  rm -rf --one-file-system $RUN
}

# True when something of a cluster is there, alive or not.
leftovers() { [ -e /run/netns/$NS ] || [ -e $RUN ] || [ -e "$DIR/$MARK" ] || [ -n "$(cgroups)" ]; }
