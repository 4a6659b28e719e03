use crate::bench::content::Plan;
use crate::bench::load::{self, Figures, Marks, Options};
use crate::bench::{bare, upstream};
use std::io::Error;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Seen(Vec<String>);

impl Marks for Seen {
    async fn mark(&mut self, name: &str) -> Result<(), Error> {
        self.0.push(name.to_owned());
        Ok(())
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn upstream() -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(upstream::run(listener));
    address
}

async fn bare_relay(upstream: SocketAddr) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(bare::run(listener, upstream));
    address
}

fn options(proxy: SocketAddr, plan: Plan) -> Options {
    let window = Duration::from_millis(200);
    Options { proxy, key: "key".to_owned(), plan, clients: 4, warmup: 3, requests: 5, window }
}

async fn figures(options: Options) -> Figures {
    let mut marks = Seen::default();
    let figures = load::run(options, &mut marks).await.unwrap();
    assert_eq!(marks.0, ["begin", "end"]);
    figures
}

async fn connects(upstream: SocketAddr) -> String {
    let mut stream = TcpStream::connect(upstream).await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", upstream::CONNECTS);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let read = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).rsplit("\r\n").next().unwrap().to_owned()
}

#[tokio::test]
async fn every_plan_loses_nothing_through_a_bare_relay() {
    let upstream = upstream().await;
    let proxy = bare_relay(upstream).await;

    let plain = figures(options(proxy, Plan::Json)).await;
    assert_eq!((plain.requests, plain.events, plain.errors, plain.lost), (20, 20, 0, 0));
    assert!(plain.p50_us > 0 && plain.p50_us <= plain.p99_us, "{plain:?}");

    let fast = figures(options(proxy, Plan::Stream { events: 100, gap: Duration::ZERO })).await;
    assert_eq!((fast.requests, fast.events, fast.errors, fast.lost), (20, 2000, 0, 0));

    let silent = figures(options(proxy, Plan::Silent)).await;
    assert_eq!((silent.events, silent.errors, silent.lost), (4, 0, 0));
}

#[tokio::test]
async fn the_window_of_paced_streams_lies_within_them() {
    let proxy = bare_relay(upstream().await).await;
    let paced = figures(options(proxy, Plan::Stream { events: 60, gap: Duration::from_millis(10) })).await;
    assert_eq!((paced.requests, paced.errors, paced.lost), (4, 0, 0));
    assert!((4..4 * 60).contains(&paced.events), "{paced:?}");
    assert!(paced.p50_us > 0 && paced.p50_us <= paced.p99_us, "{paced:?}");
}

#[tokio::test]
async fn connections_to_the_upstream_are_counted_once() {
    let upstream = upstream().await;
    figures(options(upstream, Plan::Json)).await;
    assert_eq!(connects(upstream).await, "4");
}

#[tokio::test]
async fn what_a_proxy_breaks_off_is_counted_as_lost() {
    let (listener, proxy) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                assert_ne!(stream.read(&mut request).await.unwrap(), 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            });
        }
    });
    let plan = Plan::Stream { events: 100, gap: Duration::ZERO };
    let figures = figures(Options { warmup: 0, ..options(proxy, plan) }).await;
    // 4 clients, 5 requests each, 100 events and an end marker each.
    assert_eq!((figures.requests, figures.events, figures.errors, figures.lost), (0, 0, 4, 4 * 5 * 101));
}
