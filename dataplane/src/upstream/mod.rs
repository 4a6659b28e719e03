//! Connections to providers (HTTP/1.1).
//!
//! A connection is not a task of its own: it lives in the answer's body and is polled there, in the task that writes to the client. An event
//! then costs one task turn and one write, and dropping the body closes the connection: that is how an upstream is cancelled.

mod body;
mod connection;
mod connector;
mod gate;
mod pool;
#[cfg(test)]
mod tests;
mod upgrade;

pub use body::{Answer, RequestBody, RequestBodyError, discard};
pub use connector::{Connector, ConnectorOptions, HostOverride};
pub use upgrade::{Switched, Upgrade};

use crate::reason::Reason;
use crate::table::Origin;
use connection::Connection;
use http::{Request, Response};
use pool::Pool;
use std::error::Error;
use std::io;
use std::sync::Arc;

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
            Self::Connect { .. } => Reason::UpstreamConnect,
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
    pub async fn send(&self, origin: &Origin, request: Request<RequestBody>) -> Result<Response<Answer>, Failed> {
        let mut request = Box::new(request);
        while let Some(connection) = self.pool.take(origin) {
            match connection.send(*request).await {
                Ok((head, body, connection)) => return Ok(self.answer(origin, head, body, connection)),
                Err(Failed { unsent: Some(back), .. }) => request = back,
                Err(failed) => return Err(failed),
            }
        }
        let connection = match self.connector.connect(origin).await {
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
