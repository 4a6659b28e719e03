//! Upstreams that do what no real provider should: the bytes of their answers are given.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

/// An upstream that answers with given bytes.
pub(crate) struct Stub {
    pub(crate) addr: SocketAddr,
    seen: watch::Receiver<Vec<String>>,
    _tasks: JoinSet<()>,
}

/// What a stub does behind its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Waits for the next request.
    Stay,
    /// Closes.
    Close,
}

impl Stub {
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        Self::in_turn([answer], then).await
    }

    /// An upstream that answers its first request with the first of these bytes, and so on; all behind them as the last.
    pub(crate) async fn in_turn<A: Into<Vec<u8>>>(answers: impl IntoIterator<Item = A>, then: Then) -> Self {
        let (listener, addr) = listen().await;
        let answers: Arc<[Vec<u8>]> = answers.into_iter().map(Into::into).collect();
        let (sender, seen) = watch::channel(Vec::new());
        let sender = Arc::new(sender);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                connections.spawn(serve(tcp, Arc::clone(&answers), then, Arc::clone(&sender)));
            }
        });
        Self { addr, seen, _tasks: tasks }
    }

    /// The requests so far, head and body as they came.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.borrow().clone()
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

async fn serve(mut tcp: TcpStream, answers: Arc<[Vec<u8>]>, then: Then, seen: Arc<watch::Sender<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        let Some(request) = request(&mut tcp, &mut bytes).await else { return };
        let mut number = 0;
        seen.send_modify(|seen| {
            number = seen.len();
            seen.push(request);
        });
        if tcp.write_all(&answers[number.min(answers.len() - 1)]).await.is_err() || then == Then::Close {
            return;
        }
    }
}

/// One request with a content-length or none.
async fn request(tcp: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(split) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..split]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let end = split + 4 + length.map_or(0, |length| length.parse().expect("a length"));
            if bytes.len() >= end {
                return Some(bytes.drain(..end).map(char::from).collect());
            }
        }
        if tcp.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// A wire to an upstream that counts connections and can cut them.
pub(crate) struct Tap {
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    connections: Arc<Mutex<JoinSet<io::Result<()>>>>,
    _accepting: JoinSet<()>,
}

impl Tap {
    pub(crate) async fn to(upstream: SocketAddr) -> Self {
        let (listener, addr) = listen().await;
        let accepted = Arc::new(AtomicUsize::new(0));
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let mut accepting = JoinSet::new();
        let (count, open) = (Arc::clone(&accepted), Arc::clone(&connections));
        accepting.spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                open.lock().await.spawn(async move {
                    let mut far = TcpStream::connect(upstream).await?;
                    copy_bidirectional(&mut near, &mut far).await?;
                    Ok(())
                });
            }
        });
        Self { addr, accepted, connections, _accepting: accepting }
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Closes the connections that are open.
    pub(crate) async fn cut(&self) {
        self.connections.lock().await.shutdown().await;
    }

    /// How many connections are open.
    pub(crate) async fn open(&self) -> usize {
        let mut connections = self.connections.lock().await;
        while connections.try_join_next().is_some() {}
        connections.len()
    }
}
