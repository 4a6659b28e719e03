use super::{Admin, CONNECTIONS, run};
use crate::drain::Drain;
use crate::limits::LimitsMode;
use crate::metrics::Metrics;
use crate::serving::Serving;
use crate::table::Table;
use relay_snapshot::Snapshot;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// An admin port and what it tells of.
struct Port {
    address: SocketAddr,
    serving: Arc<Serving>,
    drain: Drain,
    ready: watch::Sender<bool>,
    limits: watch::Sender<LimitsMode>,
}

impl Port {
    async fn open() -> Self {
        let (ready, is_ready) = watch::channel(false);
        let (limits, is_shared) = watch::channel(LimitsMode::Shared);
        let (serving, drain) = (Arc::new(Serving::default()), Drain::default());
        let refresh = |metrics: &Metrics| metrics.reloads.with_label_values(&["applied"]).inc();
        let admin = Admin {
            serving: Arc::clone(&serving),
            metrics: Arc::new(Metrics::new().unwrap()),
            drain: drain.clone(),
            ready: is_ready,
            limits: is_shared,
            refresh: Box::new(refresh),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(run(listener, Arc::new(admin)));
        Self { address, serving, drain, ready, limits }
    }

    fn serve(&self, revision: &str, sequence: u64) {
        self.serving.swap(Table::new(&Snapshot::default(), revision), sequence);
    }

    /// Status and body.
    async fn get(&self, path: &str) -> (u16, String) {
        get(self.address, path.to_owned()).await
    }
}

async fn get(address: SocketAddr, path: String) -> (u16, String) {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

const NONE: &str = r#"{"limits":{"mode":"shared","reason":""},"revision":"","sequence":0}"#;
const FIRST: &str = r#"{"limits":{"mode":"shared","reason":""},"revision":"aaaaaaaaaaaa","sequence":1}"#;
const SECOND: &str = r#"{"limits":{"mode":"shared","reason":""},"revision":"bbbbbbbbbbbb","sequence":2}"#;

#[tokio::test]
async fn it_is_alive_from_the_start_and_ready_once_it_is_configured_until_it_drains() {
    let port = Port::open().await;
    assert_eq!(port.get("/healthz").await, (200, "ok\n".into()));
    assert_eq!(port.get("/readyz").await, (503, "no configuration yet\n".into()));
    port.ready.send_replace(true);
    assert_eq!(port.get("/readyz").await, (200, "ok\n".into()));
    port.drain.unready.cancel();
    assert_eq!(port.get("/readyz").await, (503, "draining\n".into()));
    assert_eq!(port.get("/healthz").await, (200, "ok\n".into()));
}

#[tokio::test]
async fn metrics_are_refreshed_and_in_prometheus_text() {
    let port = Port::open().await;
    for count in 1..=2 {
        let (status, text) = port.get("/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("# TYPE relay_active_connections gauge\nrelay_active_connections 0\n"), "{text}");
        assert!(text.contains(&format!("relay_config_reloads_total{{result=\"applied\"}} {count}\n")), "{text}");
    }
}

#[tokio::test]
async fn other_paths_say_which_there_are() {
    let (status, text) = Port::open().await.get("/").await;
    assert_eq!(status, 404);
    assert!(text.contains("/revision"), "{text}");
}

#[tokio::test]
async fn the_revision_is_told_at_once_where_it_is_another() {
    let port = Port::open().await;
    assert_eq!(port.get("/revision").await, (200, NONE.into()));
    port.serve("aaaaaaaaaaaa", 1);
    for query in [
        "",
        "?after=",
        "?after=&wait=60s",
        "?after=bbbbbbbbbbbb&wait=60s",
        "?wait=60s",
        "?after=aaaaaaaaaaaa",
        "?after=aaaaaaaaaaaa&wait=0s",
    ] {
        assert_eq!(port.get(&format!("/revision{query}")).await, (200, FIRST.into()), "{query}");
    }
}

#[tokio::test]
async fn a_long_poll_is_answered_by_the_change() {
    let port = Port::open().await;
    port.serve("aaaaaaaaaaaa", 1);
    let polls: Vec<_> =
        (0..3).map(|_| tokio::spawn(get(port.address, "/revision?after=aaaaaaaaaaaa&wait=60s".into()))).collect();
    // The same revision, written again, is no change.
    port.serve("aaaaaaaaaaaa", 1);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(polls.iter().all(|poll| !poll.is_finished()));
    port.serve("bbbbbbbbbbbb", 2);
    for poll in polls {
        assert_eq!(poll.await.unwrap(), (200, SECOND.into()));
    }
}

#[tokio::test]
async fn a_long_poll_is_answered_when_limits_cease_to_be_shared_and_when_they_are_again() {
    let port = Port::open().await;
    port.serve("aaaaaaaaaaaa", 1);
    let local = |reason| LimitsMode::Local { reason };
    for (mode, told) in [
        (
            local("Redis does not answer in time"),
            r#""limits":{"mode":"local","reason":"Redis does not answer in time"}"#,
        ),
        (LimitsMode::Shared, r#""limits":{"mode":"shared","reason":""}"#),
    ] {
        let poll = tokio::spawn(get(port.address, "/revision?after=aaaaaaaaaaaa&wait=60s".into()));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!poll.is_finished());
        port.limits.send_replace(mode);
        let (status, text) = poll.await.unwrap();
        assert!(status == 200 && text.contains(told), "{text}");
    }
}

#[tokio::test]
async fn a_long_poll_ends_with_its_wait_and_waits_no_longer_than_a_minute() {
    for (wait, seconds) in [(20, 20), (60, 60), (3600, 60), (u64::MAX, 60)] {
        let port = Port::open().await;
        port.serve("aaaaaaaaaaaa", 1);
        let poll = tokio::spawn(get(port.address, format!("/revision?after=aaaaaaaaaaaa&wait={wait}s")));
        // The request is on its way before the clock jumps from timer to timer.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        tokio::time::pause();
        let begun = Instant::now();
        assert_eq!(poll.await.unwrap(), (200, FIRST.into()));
        let (waited, bound) = (begun.elapsed(), Duration::from_secs(seconds));
        // Some of it may have passed before the pause.
        assert!(
            waited < bound + Duration::from_secs(1) && waited + Duration::from_secs(10) > bound,
            "{wait}: {waited:?}"
        );
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_wait_that_is_no_number_of_seconds_is_refused() {
    let port = Port::open().await;
    for wait in ["10", "1m", "s", "-1s", "1.5s", ""] {
        let (status, text) = port.get(&format!("/revision?after=x&wait={wait}")).await;
        assert_eq!(status, 400, "{wait}");
        assert!(text.contains("wait=10s"), "{text}");
    }
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_the_others_are_served() {
    let port = Port::open().await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut tcp = TcpStream::connect(port.address).await.unwrap();
        tcp.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(tcp.read(&mut [0; 256]).await.unwrap() > 0);
        held.push(tcp);
    }
    let mut more = TcpStream::connect(port.address).await.unwrap();
    assert_eq!(more.read(&mut [0; 256]).await.unwrap(), 0, "closed");
    held[0].write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    held[0].read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
