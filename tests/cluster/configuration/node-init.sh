#!/bin/bash
# PID 1 of the node's own pid, mount, network, uts and ipc namespaces. It makes the node's file
# system and network private, says so, and becomes `pause`, which buries orphans.
# From the environment: RUN, the folder of all that the node writes; BIN; NODE_NAME; SERVICE_SINK.
set -eu

hostname "$NODE_NAME"
mount --no-mtab -t tmpfs -o mode=755 tmpfs /run

# Paths that kubelet and CNI are not to be talked out of, shown from below RUN.
while read -r source target; do
  mkdir -p "$RUN/$source"
  mount --bind "$RUN/$source" "$target"
done <<'PATHS'
kubelet /var/lib/kubelet
cni/cache /var/lib/cni
logs/pods /var/log/pods
logs/containers /var/log/containers
PATHS

# The kubelet sets these for the whole machine where they differ from what it wants. Show it files
# that already say what it wants, and the machine stays as it was.
mkdir -p "$RUN/sysctl"
while read -r name value; do
  shown=$RUN/sysctl/${name//\//.}
  echo "$value" > "$shown"
  mount --bind "$shown" "/proc/sys/$name"
done <<'WANTED'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
WANTED

ip link set lo up
ip link add "$SERVICE_SINK" type bridge # not every kernel has dummy devices
ip link set "$SERVICE_SINK" up
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.disable_ipv6=1

touch "$RUN/init.ready"
exec "$BIN/pause"
