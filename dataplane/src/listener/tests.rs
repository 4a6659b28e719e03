use super::run;
use crate::drain::Drain;
use crate::limits::Limiter;
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::serving::Serving;
use crate::upstream::{Connector, ConnectorOptions, Upstreams};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Most headers of a request.
const MAX_HEADERS: usize = 100;

/// A proxy that has no configuration: it knows no key.
pub(super) fn proxy() -> Arc<Proxy> {
    Arc::new(Proxy {
        serving: Arc::new(Serving::default()),
        limiter: Arc::new(Limiter::memory()),
        upstreams: Arc::new(Upstreams::new(Connector::new(ConnectorOptions::default()))),
        metrics: Arc::new(Metrics::new().unwrap()),
        drain: Drain::default(),
    })
}

async fn listening() -> (SocketAddr, Arc<Proxy>) {
    let proxy = proxy();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(run(listener, Arc::clone(&proxy)));
    (address, proxy)
}

/// Everything that comes back for these bytes, until the connection is closed.
async fn answer(address: SocketAddr, request: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_proxy_without_configuration_knows_no_key() {
    let (address, _proxy) = listening().await;
    let answer = answer(address, "GET / HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
    assert!(answer.contains("key_unknown"), "{answer}");
}

#[tokio::test]
async fn what_is_no_http_is_told_so_and_closed() {
    let (address, proxy) = listening().await;
    let many = "x: y\r\n".repeat(MAX_HEADERS + 1);
    let cases = [
        ("\0\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nhost: x\r\n bad : header\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nhost: x\r\nbad header: x\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +1\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nhost: x\r\nexpect: magic\r\n\r\n".to_owned(), "417"),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(9000)), "414"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\ny: {}\r\n\r\n", "y".repeat(33_000)), "431"),
    ];
    for (request, status) in &cases {
        let answer = answer(address, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer:?}");
        let reason = if *status == "431" { "headers_too_large" } else { "bad_request" };
        assert!(answer.contains(&format!("x-relay-error: {reason}\r\n")), "{request:?}: {answer:?}");
        assert!(answer.contains("connection: close\r\n"), "{request:?}: {answer:?}");
    }
    let of = |code| proxy.metrics.requests.with_label_values(&["none", "none", "none", code, "Refused"]).get();
    assert_eq!([of("400"), of("417"), of("414"), of("431")], [7, 1, 1, 2]);
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open() {
    let (address, proxy) = listening().await;
    let connections: Vec<TcpStream> = {
        let mut connections = Vec::new();
        for _ in 0..5 {
            connections.push(TcpStream::connect(address).await.unwrap());
        }
        connections
    };
    let open = || proxy.metrics.active_connections.get();
    while open() < 5 {
        tokio::task::yield_now().await;
    }
    drop(connections);
    while open() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_goes_by_its_stages() {
    let drain = Drain::default();
    let begun = Instant::now();
    let told = drain.clone();
    let stages =
        tokio::spawn(async move { super::shut_down(&told, Duration::from_secs(5), Duration::from_mins(10)).await });
    drain.unready.cancelled().await;
    assert_eq!((begun.elapsed(), drain.closing.is_cancelled()), (Duration::ZERO, false));
    drain.closing.cancelled().await;
    assert_eq!((begun.elapsed().as_secs(), drain.cut.is_cancelled()), (5, false));
    drain.cut.cancelled().await;
    assert_eq!(begun.elapsed().as_secs(), 605);
    stages.await.unwrap();
}
