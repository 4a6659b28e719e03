//! Connections to providers (HTTP/1.1).
//!
//! A connection is not a task of its own: it lives in the answer's body and is polled there, in the task that writes to the client. An event
//! then costs one task turn and one write, and dropping the body closes the connection: that is how an upstream is cancelled.

mod body;
mod connection;
mod connector;
mod destinations;
mod gate;
mod pool;
mod room;
#[cfg(test)]
mod tests;
mod upload;

pub use body::{Answer, RequestBodyError, discard};
pub use connector::{Connector, ConnectorOptions, HostOverride};
pub use destinations::AddressClass;
pub use room::Room;
pub use upload::{KEPT_MAX, RequestBody, Splice, Upload, Waits};

use crate::reason::Reason;
use crate::table::Origin;
use connection::Connection;
use http::{Request, Response};
use pool::Pool;
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

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
    /// The upstream does not speak HTTP/1.1 correctly.
    #[error("the upstream broke HTTP/1.1")]
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

/// Opens connections, and keeps those that may serve again.
pub struct Upstreams {
    connector: Connector,
    pool: Arc<Pool>,
}

impl Upstreams {
    /// With an empty pool.
    pub fn new(connector: Connector) -> Self {
        Self { connector, pool: Arc::new(Pool::default()) }
    }

    /// Sends a request and waits for the head of its answer; without bound of its own. Cancel-safe: dropping it closes the connection.
    ///
    /// The request is in origin form and has its `host` header. A pooled connection that the upstream closed meanwhile is not an error: the request
    /// goes out on the next one, as long as nothing of it was sent.
    pub async fn send(&self, target: &Target, request: Request<RequestBody>) -> Result<Response<Answer>, Failed> {
        let origin = &target.origin;
        let mut request = Box::new(request);
        while let Some(connection) = self.pool.take(origin) {
            match connection.send(*request).await {
                Ok((head, body, connection)) => return Ok(self.answer(origin, head, body, connection)),
                Err(Failed { unsent: Some(back), .. }) => request = back,
                Err(failed) => return Err(failed),
            }
        }
        let connection = match self.connector.connect(target).await {
            Ok(connection) => connection,
            Err(error) => return Err(Failed { error, unsent: Some(request) }),
        };
        let (head, body, connection) = connection.send(*request).await?;
        Ok(self.answer(origin, head, body, connection))
    }

    fn answer(
        &self,
        origin: &Origin,
        head: http::response::Parts,
        body: hyper::body::Incoming,
        connection: Connection,
    ) -> Response<Answer> {
        Response::from_parts(head, Answer::new(body, connection, origin.clone(), Arc::clone(&self.pool)))
    }

    /// Closes connections that idled too long. To be called from time to time: nobody watches an idle connection.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// How many connections idle in the pool.
    pub fn idle(&self) -> usize {
        self.pool.len()
    }
}
