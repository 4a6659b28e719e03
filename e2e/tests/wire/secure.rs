//! Upstreams with TLS, whose streams the test answers by hand.

use std::future::{pending, poll_fn};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::raw::LIMIT;

/// How a [`Secure`] speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// What it agrees to.
    pub(crate) alpn: &'static str,
    /// Streams at once on a connection.
    pub(crate) streams: u32,
    /// The first connection takes a request whole, and then says that it did nothing of it.
    pub(crate) disowns_first: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { alpn: "h2", streams: 100, disowns_first: false }
    }
}

/// An upstream with TLS.
pub(crate) struct Secure {
    pub(crate) addr: SocketAddr,
    /// The certificate that signs its own (PEM).
    pub(crate) ca: String,
    arrivals: mpsc::UnboundedReceiver<Arrived>,
    /// Heads of requests in HTTP/1.1, all of which are answered `ok`.
    heads: mpsc::UnboundedReceiver<String>,
    pub(crate) handshakes: mpsc::UnboundedReceiver<HandshakeKind>,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// A request on a stream.
pub(crate) struct Arrived {
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    pub(crate) request: Request<RecvStream>,
    pub(crate) answer: SendResponse<Bytes>,
    orders: mpsc::UnboundedSender<(Order, oneshot::Sender<()>)>,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// GOAWAY: running streams go on.
    SayGoodbye,
    /// It neither reads nor writes any more, and stays open.
    Freeze,
    /// It closes.
    Cut,
}

/// A certificate that signs others, and one for 127.0.0.1 that it signed, with its key.
fn certificates() -> (String, Vec<u8>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
    let own = params.signed_by(&key, &issuer).expect("a certificate").der().to_vec();
    (ca, own, PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
}

impl Secure {
    pub(crate) async fn start(manner: Manner) -> Self {
        let (ca, own, key) = certificates();
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![own.into()], key).expect("they fit");
        config.alpn_protocols = vec![manner.alpn.as_bytes().to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let accepted = Arc::new(AtomicUsize::new(0));
        let ((arrive, arrivals), (head, heads)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (shake, handshakes) = mpsc::unbounded_channel();
        let count = Arc::clone(&accepted);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (acceptor, arrive, head, shake) = (acceptor.clone(), arrive.clone(), head.clone(), shake.clone());
                connections.spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else { return };
                    let _ = tls.get_ref().1.handshake_kind().map(|kind| shake.send(kind));
                    match manner.alpn {
                        "h2" if manner.disowns_first && number == 0 => disown(tls).await,
                        "h2" => serve_h2(tls, number, manner.streams, arrive).await,
                        _ => serve_h1(tls, head).await,
                    }
                });
            }
        });
        Self { addr, ca, arrivals, heads, handshakes, accepted, _tasks: tasks }
    }

    /// The next request on a stream.
    pub(crate) async fn next(&mut self) -> Arrived {
        timeout(LIMIT, self.arrivals.recv()).await.expect("a request comes").expect("it runs")
    }

    /// The head of the next request in HTTP/1.1.
    pub(crate) async fn next_head(&mut self) -> String {
        timeout(LIMIT, self.heads.recv()).await.expect("a request comes").expect("it runs")
    }

    /// Connections so far, of TCP.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Arrived {
    /// The whole body of the request.
    pub(crate) async fn body(&mut self) -> Vec<u8> {
        let (mut whole, body) = (Vec::new(), self.request.body_mut());
        while let Some(part) = timeout(LIMIT, body.data()).await.expect("in time") {
            let part = part.expect("whole");
            body.flow_control().release_capacity(part.len()).expect("taken before");
            whole.extend_from_slice(&part);
        }
        whole
    }

    /// Begins an answer.
    pub(crate) fn begin(&mut self, content_type: &str) -> SendStream<Bytes> {
        let head = Response::builder().header("content-type", content_type).body(()).expect("a head");
        self.answer.send_response(head, false).expect("the stream is open")
    }

    /// Begins a stream of events with one of this text.
    pub(crate) fn stream(&mut self, text: &str) -> SendStream<Bytes> {
        let mut stream = self.begin("text/event-stream");
        stream.send_data(event(text), false).expect("the stream is open");
        stream
    }

    /// The reason by which the relay gave up the stream. Not for one whose answer began: its [`SendStream`] knows.
    pub(crate) async fn given_up(&mut self) -> Reason {
        let reset = poll_fn(|cx| self.answer.poll_reset(cx));
        timeout(LIMIT, reset).await.expect("the relay resets it").expect("the connection lives")
    }

    /// Waits until it is so.
    pub(crate) async fn order(&self, order: Order) {
        let (done, is_done) = oneshot::channel();
        self.orders.send((order, done)).expect("the connection lives");
        timeout(LIMIT, is_done).await.expect("in time").expect("it is done");
    }
}

/// An event of a chat.
pub(crate) fn event(text: &str) -> Bytes {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n").into()
}

/// Ends a chat as its format has it.
pub(crate) fn finish(mut stream: SendStream<Bytes>) {
    stream.send_data("data: [DONE]\n\n".into(), true).expect("the stream is open");
}

async fn serve_h2(tls: TlsStream<TcpStream>, connection: usize, streams: u32, arrive: mpsc::UnboundedSender<Arrived>) {
    let Ok(mut h2) = Builder::new().max_concurrent_streams(streams).handshake::<_, Bytes>(tls).await else { return };
    let (orders, mut ordered) = mpsc::unbounded_channel::<(Order, oneshot::Sender<()>)>();
    loop {
        tokio::select! {
            came = h2.accept() => {
                let Some(Ok((request, answer))) = came else { return };
                let _ = arrive.send(Arrived { connection, request, answer, orders: orders.clone() });
            }
            Some((order, done)) = ordered.recv() => {
                if order == Order::SayGoodbye {
                    h2.graceful_shutdown();
                }
                if order == Order::Cut {
                    drop(h2);
                    let _ = done.send(());
                    return;
                }
                let _ = done.send(());
                if order == Order::Freeze {
                    pending::<()>().await;
                }
            }
        }
    }
}

/// Reads a request to its last byte, and says that it is behind the last that was looked at (RFC 9113, section 6.8).
async fn disown(mut tls: TlsStream<TcpStream>) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut preface = [0; 24];
    let read = async {
        tls.read_exact(&mut preface).await?;
        tls.write_all(&SETTINGS).await?;
        loop {
            let mut head = [0; 9];
            tls.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            tls.read_exact(&mut vec![0; length as usize]).await?;
            // DATA or HEADERS that end the stream.
            if head[3] <= 1 && head[4] & 1 == 1 {
                return tls.write_all(&GOAWAY).await;
            }
        }
    };
    if read.await.is_ok() {
        let _ = tls.read_to_end(&mut Vec::new()).await;
    }
}

async fn serve_h1(mut tls: TlsStream<TcpStream>, heads: mpsc::UnboundedSender<String>) {
    let mut bytes = Vec::new();
    while let Ok(1..) = tls.read_buf(&mut bytes).await {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.map_or(0, |length| length.parse().expect("a length")) {
            continue;
        }
        bytes.clear();
        let _ = heads.send(head.to_owned());
        if tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
            return;
        }
    }
}
