//! Redis by TLS, behind Sentinels, as a cluster, and far away.

use super::server::{RedisServer, free_port};
use super::{
    Estimate, Limiter, Mode, RedisOptions, TenantPlan, Verdict, eventually, per_hour, plan, requests, tenant, tokens,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use relay_snapshot::{ObjectId, Unavailable};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

fn options(url: String) -> RedisOptions {
    RedisOptions { budget: Duration::from_secs(1), ..RedisOptions::new(url) }
}

fn one_of(id: &ObjectId) -> TenantPlan {
    plan(id, requests(per_hour(1_000_000, 1_000_000)), Unavailable::Local)
}

async fn mode_of(limiter: &Limiter, id: &ObjectId) -> Mode {
    let decision = limiter.admit(&one_of(id), None, Estimate::default()).await;
    assert!(matches!(decision.verdict, Verdict::Admitted(None)), "{decision:?}");
    decision.mode
}

async fn until_shared(limiter: &Limiter) {
    eventually("Redis decides", async || mode_of(limiter, &tenant("a")).await == Mode::Shared).await;
}

async fn until_local(limiter: &Limiter) {
    eventually("Redis is left alone", async || {
        mode_of(limiter, &tenant("a")).await == Mode::Local && limiter.mode().borrow().label() == "local"
    })
    .await;
}

/// A limit that both hold, together.
async fn share_a_limit(one: &Limiter, other: &Limiter) {
    let id = tenant("shared");
    let plan = plan(&id, requests(per_hour(1, 10)), Unavailable::Local);
    let mut passed = 0;
    for limiter in [one, other].into_iter().cycle().take(30) {
        let decision = limiter.admit(&plan, None, Estimate::default()).await;
        assert_eq!(decision.mode, Mode::Shared);
        passed += u32::from(matches!(decision.verdict, Verdict::Admitted(None)));
    }
    assert_eq!(passed, 10);
}

/// Certificates of an authority of the test's own, for 127.0.0.1; the authority's is `ca.crt`.
fn certificates(dir: &Path) -> [PathBuf; 3] {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(params, ca_key)).unwrap();
    let texts = [("ca.crt", ca.pem()), ("tls.crt", leaf.pem()), ("tls.key", key.serialize_pem())];
    texts.map(|(name, text)| {
        std::fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    })
}

#[tokio::test]
async fn by_tls_with_an_authority_of_its_own() {
    let dir = TempDir::new().unwrap();
    let [ca, certificate, key] = certificates(dir.path()).map(|path| path.display().to_string());
    let port = free_port().to_string();
    let tls = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let _server =
        RedisServer::start_with(&[&tls[..], &["--tls-auth-clients", "no", "--bind", "127.0.0.1"]].concat()).await;
    let url = format!("rediss://127.0.0.1:{port}");
    let trusting = || RedisOptions { ca: Some(PathBuf::from(&ca)), ..options(url.clone()) };
    let (one, other) = (Limiter::redis(&trusting()).unwrap(), Limiter::redis(&trusting()).unwrap());
    until_shared(&one).await;
    until_shared(&other).await;
    share_a_limit(&one, &other).await;
    // The system does not know the authority.
    let doubting = Limiter::redis(&options(url)).unwrap();
    until_local(&doubting).await;
}

/// A master, its replica, and three Sentinels that watch them.
struct Watched {
    servers: Vec<RedisServer>,
    ports: Vec<u16>,
}

impl Watched {
    async fn start() -> Self {
        let mut watched = Self { servers: Vec::new(), ports: Vec::new() };
        for name in ["master", "replica"] {
            let port = free_port();
            let replica_of = watched.ports.first().map(|master| ["--replicaof".into(), format!("127.0.0.1 {master}")]);
            let mut arguments = vec!["--port".to_owned(), port.to_string(), "--bind".into(), "127.0.0.1".into()];
            arguments.extend(["--requirepass".into(), "s3cret".into(), "--masterauth".into(), "s3cret".into()]);
            arguments.extend(replica_of.into_iter().flatten());
            let server = RedisServer::start_at(arguments, format!("redis://:s3cret@127.0.0.1:{port}")).await;
            assert!(server.run::<String>("PING").await == "PONG", "{name}");
            watched.servers.push(server);
            watched.ports.push(port);
        }
        let master = watched.ports[0];
        for _ in 0..3 {
            let (dir, port) = (TempDir::new().unwrap(), free_port());
            let file = dir.path().join("sentinel.conf");
            let config = format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor relay 127.0.0.1 {master} 2\nsentinel auth-pass relay s3cret\n\
                 sentinel down-after-milliseconds relay 500\nsentinel failover-timeout relay 3000\n"
            );
            std::fs::write(&file, config).unwrap();
            let arguments = vec![file.display().to_string(), "--sentinel".into()];
            watched.servers.push(RedisServer::start_in(dir, arguments, format!("redis://127.0.0.1:{port}")).await);
            watched.ports.push(port);
        }
        for sentinel in &watched.servers[2..] {
            eventually("the Sentinels know each other and the replica", async || {
                let told: std::collections::HashMap<String, String> = sentinel.run("SENTINEL MASTER relay").await;
                told["num-other-sentinels"] == "2" && told["num-slaves"] == "1" && told["flags"] == "master"
            })
            .await;
        }
        watched
    }

    fn url(&self) -> String {
        let sentinels: Vec<String> = self.ports[2..].iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://:s3cret@{}/relay", sentinels.join(","))
    }
}

/// Empty while the server hangs up on its clients, as it does when its part changes.
async fn replication(server: &RedisServer) -> String {
    server.try_run("INFO replication").await.unwrap_or_default()
}

#[tokio::test]
async fn the_master_of_the_sentinels_is_followed_when_another_is_promoted() {
    let watched = Watched::start().await;
    let (one, other) =
        (Limiter::redis(&options(watched.url())).unwrap(), Limiter::redis(&options(watched.url())).unwrap());
    until_shared(&one).await;
    until_shared(&other).await;
    share_a_limit(&one, &other).await;
    let () = watched.servers[2].run("SENTINEL FAILOVER relay").await;
    eventually("the replica is the master", async || replication(&watched.servers[1]).await.contains("role:master"))
        .await;
    // Their connections lead to what is a replica by now, or is not yet.
    eventually("the new master counts", async || {
        mode_of(&one, &tenant("b")).await == Mode::Shared
            && mode_of(&other, &tenant("b")).await == Mode::Shared
            && watched.servers[1].try_run("EXISTS relay:{team/b}:state").await.is_ok_and(|found: u64| found == 1)
            && replication(&watched.servers[0]).await.contains("role:slave")
    })
    .await;
}

#[tokio::test]
async fn a_master_that_dies_is_replaced_by_the_one_that_the_sentinels_promote() {
    let mut watched = Watched::start().await;
    let limiter = Limiter::redis(&options(watched.url())).unwrap();
    until_shared(&limiter).await;
    watched.servers[0].kill();
    until_local(&limiter).await;
    until_shared(&limiter).await;
    assert_eq!(watched.servers[1].run::<u64>("EXISTS relay:{team/a}:state").await, 1);
}

/// Three masters, each with a third of the slots.
async fn cluster() -> (Vec<RedisServer>, Vec<u16>) {
    let (mut servers, mut ports) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (port, bus) = (free_port(), free_port());
        let arguments = ["--port", &port.to_string(), "--cluster-enabled", "yes", "--cluster-port", &bus.to_string()];
        let more = ["--bind", "127.0.0.1", "--cluster-node-timeout", "2000"];
        let arguments = arguments.into_iter().chain(more).map(str::to_owned).collect();
        servers.push(RedisServer::start_at(arguments, format!("redis://127.0.0.1:{port}")).await);
        ports.push((port, bus));
    }
    for (index, server) in servers.iter().enumerate() {
        let (first, last) = ([0, 5461, 10923][index], [5460, 10922, 16383][index]);
        let () = server.run(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await;
        let () = server.run(&format!("CLUSTER MEET 127.0.0.1 {} {}", ports[0].0, ports[0].1)).await;
    }
    for server in &servers {
        eventually("the cluster is well", async || {
            let info: String = server.run("CLUSTER INFO").await;
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
        .await;
    }
    (servers, ports.into_iter().map(|(port, _)| port).collect())
}

#[tokio::test]
async fn a_cluster_keeps_each_tenant_on_one_node_and_all_on_some() {
    let (servers, ports) = cluster().await;
    let url = format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", ports[0], ports[2]);
    let (one, other) = (Limiter::redis(&options(url.clone())).unwrap(), Limiter::redis(&options(url)).unwrap());
    until_shared(&one).await;
    until_shared(&other).await;
    share_a_limit(&one, &other).await;
    let mut plans = Vec::new();
    for index in 0..30 {
        plans.push(plan(&tenant(&format!("t{index}")), tokens(per_hour(1, 1000)), Unavailable::Local));
    }
    for plan in &plans {
        let decision = one.admit(plan, None, Estimate { input: 10, output: 90, characters: 0 }).await;
        assert_eq!(decision.mode, Mode::Shared);
        super::held(decision).settle(super::Used { input: 10, output: 20, characters: 0 });
    }
    for plan in &plans {
        eventually("970 are left", async || {
            let decision = other.admit(plan, None, Estimate::default()).await;
            decision.mode == Mode::Shared && decision.standings[0].remaining == 970
        })
        .await;
    }
    let mut keys = 0;
    for server in &servers {
        let here: Vec<String> = server.run("KEYS relay:{team/t*}:state").await;
        assert!(!here.is_empty(), "no node is left out");
        keys += here.len();
    }
    assert_eq!(keys, 30);
}

#[tokio::test]
async fn a_node_that_hangs_keeps_no_tenant_of_another_from_being_settled() {
    let (servers, ports) = cluster().await;
    let limiter = Limiter::redis(&options(format!("redis+cluster://127.0.0.1:{}", ports[0]))).unwrap();
    until_shared(&limiter).await;
    let mut by_node = [const { Vec::new() }; 3];
    for index in 0..30 {
        let id = tenant(&format!("t{index}"));
        let slot: usize = servers[0].run(&format!("CLUSTER KEYSLOT relay:{{{id}}}:state")).await;
        by_node[slot / 5462].push(id);
    }
    let of = |id: &ObjectId| plan(id, tokens(per_hour(1, 100_000)), Unavailable::Local);
    let (there, elsewhere) = (of(&by_node[2][0]), of(&by_node[0][0]));
    let mut running = Vec::new();
    for plan in std::iter::repeat_n(&there, 300).chain([&elsewhere]) {
        let decision = limiter.admit(plan, None, Estimate { input: 10, output: 90, characters: 0 }).await;
        assert_eq!(decision.mode, Mode::Shared);
        running.push(super::held(decision));
    }
    // As long as the other nodes do not know it, they go on.
    for server in &servers {
        let () = server.run("CONFIG SET cluster-node-timeout 600000").await;
    }
    servers[2].signal("STOP");
    for reservation in running {
        reservation.settle(super::Used::default());
    }
    eventually("the other is settled", async || {
        servers[0].run::<u64>(&format!("ZCARD relay:{{{}}}:open", elsewhere.tenant)).await == 0
    })
    .await;
    servers[2].signal("CONT");
    eventually("so are they", async || {
        servers[2].run::<u64>(&format!("ZCARD relay:{{{}}}:open", there.tenant)).await == 0
    })
    .await;
}

#[tokio::test]
async fn slots_that_move_take_their_tenants_along() {
    let (servers, ports) = cluster().await;
    let limiter = Limiter::redis(&options(format!("redis+cluster://127.0.0.1:{}", ports[0]))).unwrap();
    until_shared(&limiter).await;
    let slot: u16 = servers[0].run("CLUSTER KEYSLOT relay:{team/a}:state").await;
    let from = usize::from(slot) / 5462;
    let to = (from + 1) % 3;
    let mut ids = Vec::new();
    for server in &servers {
        ids.push(server.run::<String>("CLUSTER MYID").await);
    }
    let () = servers[to].run(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[from])).await;
    let () = servers[from].run(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[to])).await;
    for key in servers[from].run::<Vec<String>>(&format!("CLUSTER GETKEYSINSLOT {slot} 100")).await {
        let moved = format!("MIGRATE 127.0.0.1 {} {key} 0 5000", ports[to]);
        let _: redis::Value = servers[from].run(&moved).await;
    }
    for server in [to, from] {
        let () = servers[server].run(&format!("CLUSTER SETSLOT {slot} NODE {}", ids[to])).await;
    }
    for _ in 0..10 {
        assert_eq!(mode_of(&limiter, &tenant("a")).await, Mode::Shared);
    }
    assert_eq!(servers[to].run::<u64>("EXISTS relay:{team/a}:state").await, 1);
}

/// A way to a server that takes as long as is said.
async fn far_away(socket: PathBuf) -> (String, watch::Sender<Duration>) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (latency, takes) = watch::channel(Duration::ZERO);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = tokio::net::UnixStream::connect(&socket).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let takes = takes.clone();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 65_536];
                while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                    let takes = *takes.borrow();
                    tokio::time::sleep(takes).await;
                    if to_client.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, latency)
}

#[tokio::test]
async fn one_that_is_far_away_is_left_alone_and_one_that_is_near_again_is_asked() {
    let server = RedisServer::start().await;
    let (url, latency) = far_away(server.socket()).await;
    let limiter = Limiter::redis(&RedisOptions { budget: Duration::from_millis(50), ..options(url) }).unwrap();
    until_shared(&limiter).await;
    for takes in [100, 500] {
        latency.send_replace(Duration::from_millis(takes));
        until_local(&limiter).await;
        // It answers, but too late, again and again: no answer of these makes it a near one.
        for _ in 0..20 {
            assert_eq!(mode_of(&limiter, &tenant("a")).await, Mode::Local);
        }
        latency.send_replace(Duration::ZERO);
        until_shared(&limiter).await;
    }
}
