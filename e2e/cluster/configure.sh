# shellcheck shell=bash
# Writes everything a cluster reads: keys, kubeconfigs, configuration files, and the command line of each part. Sourced by up.
# Uses DIR (the state folder), BIN (the programs), and the names of cluster.sh.

PODS=10.244.0.0/24
SERVICES=10.96.0.0/16
KUBERNETES=10.96.0.1               # the first address of SERVICES is the Service `kubernetes`

key() { # name, then arguments of openssl req
  openssl req "${@:2}" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" 2>/dev/null
}

cert() { # name subject [subjectAltName]
  key "$1" -subj "$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out "$1.crt" 2>/dev/null \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth' "${3:-DNS:$1}")
}

kubeconfig() { # name: of the certificate and of the file
  cat >"$DIR/$1.kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "https://$NODE_IP:6443", certificate-authority-data: $(base64 -w0 <ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 <"$1.crt"), client-key-data: $(base64 -w0 <"$1.key")}}]
contexts: [{name: e2e, context: {cluster: e2e, user: $1}}]
current-context: e2e
Y
}

make_keys() ( # a shell of its own, for the sake of cd
  set -e
  local name names=DNS:kubernetes
  cd "$DIR/pki" || exit
  names+=,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost
  key ca -x509 -days 365 -subj /CN=relay-e2e-ca -out ca.crt
  cert apiserver /CN=kube-apiserver "$names,IP:127.0.0.1,IP:$NODE_IP,IP:$KUBERNETES"
  cert kubelet /O=system:nodes/CN=system:node:relay "DNS:relay,IP:$NODE_IP"
  cert admin /O=system:masters/CN=admin
  cert apiclient /O=system:masters/CN=kube-apiserver-kubelet-client
  cert manager /CN=system:kube-controller-manager
  cert scheduler /CN=system:kube-scheduler
  cert proxy /CN=system:kube-proxy
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out sa.key 2>/dev/null
  openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
  for name in admin manager scheduler proxy kubelet; do kubeconfig "$name"; done
)

# overlayfs wants a real file system below; on another overlay (a Docker container's own layer) only copying works.
snapshotter() {
  local try=$DIR/overlay-try
  mkdir -p "$try"/{lower,upper,work,merged}
  if unshare --mount mount -t overlay overlay -o "lowerdir=$try/lower,upperdir=$try/upper,workdir=$try/work" "$try/merged" 2>/dev/null; then
    echo overlayfs
  else
    echo native
  fi
  rm -rf "$try"
}

cni_programs() { if [ -x /usr/lib/cni/ptp ]; then echo /usr/lib/cni; else echo /opt/cni/bin; fi; }

configure_runtime() {
  snapshotter >"$DIR/snapshotter"
  cat >"$DIR/containerd.toml" <<Y
version = 2
root = "$DIR/containerd"
state = "$RUN/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$RUN/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$DIR/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "relay.test/pause:1"
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  # Without CAP_SYS_RESOURCE runc cannot lower it, and dies with "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$(cni_programs)"
    conf_dir = "$DIR/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$(cat "$DIR/snapshotter")"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "$RUN/runc"
Y
  # ptp routes every packet through the node, so that Service addresses work between pods without bridge netfilter.
  cat >"$DIR/cni/10-e2e.conflist" <<Y
{"cniVersion": "1.0.0", "name": "e2e", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "$DIR/cni-ipam",
   "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
Y
}

configure_node() {
  echo "nameserver $NODE_IP" >"$DIR/resolv.conf"
  cat >"$DIR/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$NS
containerRuntimeEndpoint: unix://$RUN/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $DIR/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $DIR/pki/kubelet.crt
tlsPrivateKeyFile: $DIR/pki/kubelet.key
clusterDomain: cluster.local
clusterDNS: [$NODE_IP]
resolvConf: $DIR/resolv.conf
staticPodPath: $DIR/manifests
podLogsDir: $DIR/podlogs
volumePluginDir: $DIR/kubelet/volume-plugins
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
failSwapOn: false
Y
  cat >"$DIR/proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $DIR/proxy.kubeconfig}
clusterCIDR: $PODS
hostnameOverride: relay
conntrack: {maxPerCore: 0, min: 0}
Y
  cat >"$DIR/Corefile" <<Y
.:53 {
  bind $NODE_IP
  errors
  cache 5
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $DIR/admin.kubeconfig
    ttl 1
  }
}
Y
}

part() { printf '%s\0' "${@:2}" >"$DIR/parts/$1.cmd"; } # name command...

auth() { echo "--kubeconfig=$DIR/$1.kubeconfig --authentication-kubeconfig=$DIR/$1.kubeconfig --authorization-kubeconfig=$DIR/$1.kubeconfig"; }

write_commands() {
  local pki=$DIR/pki
  part containerd containerd -c "$DIR/containerd.toml"
  part etcd "$BIN/kube" etcd --data-dir "$DIR/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync --log-level warn
  part apiserver "$BIN/kube" apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address="$NODE_IP" --secure-port=6443 \
    --cert-dir="$pki" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc --service-account-signing-key-file="$pki/sa.key" \
    --service-account-key-file="$pki/sa.pub" --kubelet-client-certificate="$pki/apiclient.crt" \
    --kubelet-client-key="$pki/apiclient.key" --kubelet-certificate-authority="$pki/ca.crt" \
    --kubelet-preferred-address-types=InternalIP --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --service-cluster-ip-range=$SERVICES --allow-privileged=true
  # shellcheck disable=SC2046 # several arguments
  part manager "$BIN/kube" manager $(auth manager) --leader-elect=false --cert-dir="$pki/manager" --use-service-account-credentials \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --flex-volume-plugin-dir="$DIR/volume-plugins"
  # shellcheck disable=SC2046
  part scheduler "$BIN/kube" scheduler $(auth scheduler) --leader-elect=false --cert-dir="$pki/scheduler"
  part kubelet "$BIN/kube" kubelet --config="$DIR/kubelet.yaml" --kubeconfig="$DIR/kubelet.kubeconfig" --hostname-override=relay \
    --node-ip="$NODE_IP" --root-dir="$DIR/kubelet" --cert-dir="$DIR/kubelet/pki"
  part dns "$BIN/kube" dns -conf "$DIR/Corefile"
  part proxy "$BIN/kube" proxy --config="$DIR/proxy.yaml"
}
