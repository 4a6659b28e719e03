//! A client of either protocol.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// What the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    H1,
    H2,
}

enum Sender {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

/// A connection with one request on it. Dropping it hangs up.
pub(crate) struct Client {
    sender: Sender,
    connection: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// An answer under way.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the framing ended cleanly; false while it has not.
    pub(crate) whole: bool,
    rest: Incoming,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr, protocol: Protocol) -> Self {
        let tcp = TokioIo::new(TcpStream::connect(addr).await.expect("connects"));
        match protocol {
            Protocol::H1 => {
                let (sender, connection) = http1::handshake(tcp).await.expect("h1");
                // How the connection ends is told by the answer's body.
                let connection = tokio::spawn(async move { drop(connection.await) });
                Self { sender: Sender::H1(sender), connection }
            }
            Protocol::H2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), tcp).await.expect("h2");
                let connection = tokio::spawn(async move { drop(connection.await) });
                Self { sender: Sender::H2(sender), connection }
            }
        }
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        let sent: Response<Incoming> = match &mut self.sender {
            Sender::H1(sender) => sender.send_request(request).await,
            Sender::H2(sender) => sender.send_request(request).await,
        }
        .expect("a head");
        let (head, rest) = sent.into_parts();
        Answer { status: head.status.as_u16(), headers: head.headers, body: Vec::new(), whole: false, rest }
    }
}

impl Answer {
    /// Reads until so many bytes came or the answer ended.
    pub(crate) async fn read_to(&mut self, bytes: usize) {
        while self.body.len() < bytes && !self.whole {
            match self.rest.frame().await {
                Some(Ok(frame)) => self.body.extend_from_slice(frame.data_ref().expect("no trailers")),
                Some(Err(_)) => return,
                None => self.whole = true,
            }
        }
    }
}
