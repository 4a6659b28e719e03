use crate::table::Origin;
use crate::upstream::Key;
use crate::upstream::connection::Connection;
use crate::upstream::pool::Pool;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// An upstream that keeps what connects to it.
struct Far {
    listener: TcpListener,
    open: Vec<TcpStream>,
}

impl Far {
    async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), open: Vec::new() }
    }

    async fn connect(&mut self) -> Connection {
        let near = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        self.open.push(self.listener.accept().await.unwrap().0);
        Connection::open(Box::new(MaybeHttpsStream::Http(TokioIo::new(near)))).await.unwrap()
    }
}

fn key(host: &'static str, trust: u64) -> Key {
    let authority = http::uri::Authority::from_static(host);
    Key { origin: Origin { scheme: http::uri::Scheme::HTTP, authority }, trust }
}

#[tokio::test]
async fn connections_are_kept_by_origin_and_trust() {
    let (mut far, pool) = (Far::new().await, Pool::default());
    pool.put(&key("a", 0), far.connect().await);
    assert!(pool.take(&key("b", 0)).is_none());
    assert!(pool.take(&key("a", 1)).is_none(), "made under other certificates");
    assert!(pool.take(&key("a", 0)).is_some());
    assert!(pool.take(&key("a", 0)).is_none());
    assert_eq!(pool.len(), 0);
}

#[tokio::test]
async fn an_origin_has_256_idle_connections_at_most() {
    let (mut far, pool) = (Far::new().await, Pool::default());
    for _ in 0..260 {
        pool.put(&key("a", 0), far.connect().await);
    }
    assert_eq!(pool.len(), 256);
}

#[tokio::test]
async fn over_all_origins_the_one_that_idles_longest_goes_first() {
    let (mut far, pool) = (Far::new().await, Pool::of(3));
    for host in ["a", "b", "a", "c", "d"] {
        pool.put(&key(host, 0), far.connect().await);
    }
    assert_eq!(pool.len(), 3);
    assert!(pool.take(&key("b", 0)).is_none());
    for host in ["a", "c", "d"] {
        assert!(pool.take(&key(host, 0)).is_some(), "{host}");
    }
    assert!(pool.take(&key("a", 0)).is_none());
    pool.sweep();
    assert_eq!(pool.len(), 0);
}

#[tokio::test]
async fn a_connection_idles_50_seconds_and_lives_five_minutes() {
    let (mut far, pool) = (Far::new().await, Pool::default());
    let (idle, old) = (far.connect().await, far.connect().await);
    tokio::time::pause();
    pool.put(&key("a", 0), idle);
    tokio::time::advance(Duration::from_secs(49)).await;
    pool.sweep();
    assert_eq!(pool.len(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(pool.take(&key("a", 0)).is_none());

    tokio::time::advance(Duration::from_mins(4)).await;
    pool.put(&key("a", 0), old);
    tokio::time::advance(Duration::from_secs(9)).await;
    pool.sweep();
    assert_eq!(pool.len(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    pool.sweep();
    assert_eq!(pool.len(), 0, "300 s old");
}

#[tokio::test]
async fn what_idled_too_long_is_closed_behind_the_lock() {
    let (mut far, pool) = (Far::new().await, Pool::default());
    tokio::time::pause();
    let stale = far.connect().await;
    pool.put(&key("a", 0), stale);
    tokio::time::advance(Duration::from_secs(51)).await;
    let fresh = far.connect().await;
    pool.put(&key("a", 0), fresh);
    let stale = pool.take_stale(&key("a", 0));
    assert_eq!((stale.len(), pool.len()), (1, 1));
    let open = far.open[0].try_read(&mut [0]).unwrap_err();
    assert_eq!(open.kind(), std::io::ErrorKind::WouldBlock, "the lock is free, and it is still open");
    drop(stale);
    far.open[0].readable().await.unwrap();
    assert_eq!(far.open[0].try_read(&mut [0]).unwrap(), 0);
}

#[tokio::test]
async fn what_the_other_side_closed_is_not_taken() {
    let (mut far, pool) = (Far::new().await, Pool::default());
    pool.put(&key("a", 0), far.connect().await);
    let mut alive = far.connect().await;
    far.open.remove(0);
    // The FIN is there when the other connection, made later, hears of its own.
    far.open.clear();
    while alive.is_reusable() {
        tokio::task::yield_now().await;
    }
    assert!(pool.take(&key("a", 0)).is_none());
}
