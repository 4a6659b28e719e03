//! Connections to providers: HTTP/2 where TLS agrees on it, else HTTP/1.1.
//!
//! A connection of HTTP/1.1 is not a task of its own: it lives in the answer's body and is polled there, in the task that writes to the client. An
//! event then costs one task turn and one write, and dropping the body closes the connection: that is how an upstream is cancelled. A connection of
//! HTTP/2 carries many requests and is a task of its own; dropping a body resets its stream.

mod body;
mod connection;
mod connector;
mod destinations;
mod dial;
mod gate;
mod http2;
mod pool;
mod room;
mod sent;
mod source;
mod sync;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod upgrade;
mod upload;

pub use body::{Answer, Received, RequestBodyError, discard};
pub use connector::{Connector, ConnectorOptions, HostOverride};
pub use destinations::{AddressClass, Cidr};
pub use room::Room;
pub use sent::Sent;
pub use upgrade::Switched;
pub use upload::{KEPT_MAX, RequestBody, Splice, Upload, Waits};

use crate::reason::Reason;
use crate::table::Origin;
use connection::Connection;
use connector::{Offer, within};
use http::{Request, Response};
pub use http2::AHEAD;
use http2::{Dialled, Lanes, Place, Undone};
use hyper_util::client::legacy::connect::Connection as _;
use pool::Pool;
use source::{Http1, Source};
use std::error::Error;
use std::future::ready;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tls::Trust;

/// Where a request goes, and how its connection is made.
#[derive(Clone, Debug)]
pub struct Target {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Certificates (PEM) that sign the upstream's, instead of the system's roots.
    pub ca: Option<Arc<str>>,
    /// For DNS, TCP and TLS together; `None`: without bound.
    pub connect: Option<Duration>,
}

/// Why an upstream did not give an answer, or not the whole of it.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection.
    #[error("no connection to {origin}: {message}")]
    Connect {
        /// Where to.
        origin: Origin,
        /// What the system said.
        message: String,
    },
    /// The destination is one that the operator of the relay does not allow. Nothing was sent.
    #[error("{address} is not allowed as a destination ({class}); --allow-cidr {address} would allow it")]
    Refused {
        /// The address that the host has.
        address: IpAddr,
        /// What it is.
        class: AddressClass,
    },
    /// The connection broke.
    #[error("the upstream closed the connection")]
    Reset,
    /// The upstream does not speak HTTP correctly.
    #[error("the upstream broke HTTP")]
    Protocol,
}

impl UpstreamError {
    /// The reason that users read.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Connect { .. } | Self::Refused { .. } => Reason::UpstreamConnect,
            Self::Reset => Reason::UpstreamReset,
            Self::Protocol => Reason::UpstreamProtocol,
        }
    }
}

impl From<hyper::Error> for UpstreamError {
    fn from(error: hyper::Error) -> Self {
        if breaks_http(&error) { Self::Protocol } else { Self::Reset }
    }
}

/// Whether the other side sent what is no HTTP, rather than went away.
fn breaks_http(error: &hyper::Error) -> bool {
    // A broken chunk is an error of the decoder, with the kind `InvalidInput` or `InvalidData`; a broken connection has other kinds.
    let kind = error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    error.is_parse() || matches!(kind, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// An exchange that failed before its answer's head.
pub struct Failed {
    /// Why.
    pub error: UpstreamError,
    /// The request, where none of it was sent: it may go elsewhere.
    pub unsent: Option<Box<Request<RequestBody>>>,
}

/// What connections are kept by: those to one origin, made under the same certificates, are alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    origin: Origin,
    /// [`Trust::id`].
    trust: u64,
}

/// How often a request goes to another connection because the one that it had takes no more, before that is a failure.
const MAX_MOVES: usize = 3;

/// What a request goes out on.
enum Way {
    /// A connection of its own; kept: it served before, and may be closed meanwhile.
    Own { connection: Connection, kept: bool },
    /// A stream of a connection.
    Shared(Place),
}

/// Opens connections, and keeps those that may serve again.
pub struct Upstreams {
    connector: Connector,
    pool: Arc<Pool>,
    lanes: Lanes,
}

impl Upstreams {
    /// Without connections.
    pub fn new(connector: Connector) -> Self {
        Self { connector, pool: Arc::new(Pool::default()), lanes: Lanes::default() }
    }

    /// Sends a request and waits for the head of its answer; but for the connection, without bound of its own. Cancel-safe: dropping it closes the
    /// connection, or resets the stream.
    ///
    /// The request is in origin form and has its `host` header. A kept connection that the upstream closed meanwhile is not an error: the request
    /// goes out on the next one, as long as nothing of it was sent or the upstream says that it did nothing of it. Redirects are answers like others.
    pub async fn send(&self, target: &Target, request: Request<RequestBody>) -> Result<Response<Answer>, Failed> {
        let mut request = Box::new(request);
        let trust = match self.connector.trust(target) {
            Ok(trust) => trust,
            Err(error) => return Err(Failed { error, unsent: Some(request) }),
        };
        let key = Key { origin: target.origin.clone(), trust: trust.id };
        let (mut moves, mut older) = (0, false);
        loop {
            let way = if older {
                Box::pin(self.dial_http1(target)).await.map(|connection| Way::Own { connection, kept: false })
            } else {
                self.way(target, &trust, &key).await
            };
            let way = match way {
                Ok(way) => way,
                Err(error) => return Err(Failed { error, unsent: Some(request) }),
            };
            match self.send_on(way, &key, request).await {
                Ok(answer) => return Ok(answer),
                Err((Failed { unsent: Some(back), .. }, May::MoveOn)) => request = back,
                Err((Failed { unsent: Some(back), .. }, May::Move)) if moves < MAX_MOVES => {
                    moves += 1;
                    request = back;
                }
                Err((Failed { unsent: Some(back), .. }, May::UseHttp1)) => (request, older) = (back, true),
                Err((failed, _)) => return Err(failed),
            }
        }
    }

    /// A new connection of HTTP/1.1, whatever else the target speaks. Cancel-safe.
    async fn dial_http1(&self, target: &Target) -> Result<Connection, UpstreamError> {
        let trust = self.connector.trust(target)?;
        Connection::open(self.connector.connect(target, &trust, Offer::Http1).await?).await
    }

    async fn way(&self, target: &Target, trust: &Trust, key: &Key) -> Result<Way, UpstreamError> {
        let lane = self.lanes.find(key);
        if let Some(place) = lane.as_ref().and_then(|lane| lane.place()) {
            return Ok(Way::Shared(place));
        }
        if let Some(connection) = self.pool.take(key) {
            return Ok(Way::Own { connection, kept: true });
        }
        // On the heap, since most requests need no new connection and would carry the room for one.
        let dial = Box::pin(self.connector.connect(target, trust, Offer::Both));
        let connecting = async {
            let stream = match lane {
                None => dial.await?,
                Some(lane) => match lane.acquire(dial).await? {
                    Dialled::Place(place) => return Ok(Way::Shared(place)),
                    Dialled::Other(stream) => {
                        self.lanes.forget(key);
                        stream
                    }
                },
            };
            if stream.connected().is_negotiated_h2() {
                // Of a crowd that connected at once, one connection is kept, if it has room for all.
                if let Dialled::Place(place) = self.lanes.make(key).acquire(ready(Ok(stream))).await? {
                    return Ok(Way::Shared(place));
                }
                return Err(UpstreamError::Protocol);
            }
            Ok(Way::Own { connection: Connection::open(stream).await?, kept: false })
        };
        within(target, Box::pin(connecting)).await
    }

    async fn send_on(
        &self,
        way: Way,
        key: &Key,
        request: Box<Request<RequestBody>>,
    ) -> Result<Response<Answer>, (Failed, May)> {
        let (head, source) = match way {
            Way::Own { connection, kept } => {
                let may = if kept { May::MoveOn } else { May::Fail };
                let (head, body, connection) = connection.send(*request).await.map_err(|failed| (failed, may))?;
                let (key, pool) = (key.clone(), Arc::clone(&self.pool));
                (head, Source::Http1(Http1 { body, connection: Some(connection), key, pool }))
            }
            Way::Shared(place) => match http2::send(place, &key.origin, *request).await {
                Ok((head, streamed)) => (head, Source::Http2(Box::new(streamed))),
                Err(undone) => return Err(undone.into()),
            },
        };
        Ok(Response::from_parts(head, Answer::new(source)))
    }

    /// Closes connections that idled too long. To be called from time to time: nobody watches an idle connection of HTTP/1.1.
    pub fn sweep(&self) {
        self.pool.sweep();
        self.lanes.sweep();
    }

    /// How many connections have no request.
    pub fn idle(&self) -> usize {
        self.pool.len() + self.lanes.idle()
    }
}

/// What may become of a request that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    /// The connection was a kept one: the next, however many there are.
    MoveOn,
    /// Another connection, a few times.
    Move,
    /// The upstream serves it over HTTP/1.1 alone.
    UseHttp1,
    /// Another backend, at most.
    Fail,
}

impl From<Undone> for (Failed, May) {
    fn from(undone: Undone) -> Self {
        let reset = |unsent| Failed { error: UpstreamError::Reset, unsent: Some(unsent) };
        match undone {
            Undone::Moved(request) => (reset(request), May::Move),
            Undone::Refused(request) => (reset(request), May::Fail),
            Undone::Older(request) => (reset(request), May::UseHttp1),
            Undone::Failed(error) => (Failed { error, unsent: None }, May::Fail),
        }
    }
}
