//! DNS and TCP: finds the addresses of a host, passes over those that are not allowed, and connects to the one that answers first.

use super::destinations::{AddressClass, Destinations};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower_service::Service;

/// How long one address may take before the next is tried beside it (RFC 8305, section 8: 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);
/// How many addresses of a host are tried at most.
const MAX_ADDRESSES: usize = 16;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("DNS: {0}")]
    Lookup(io::Error),
    #[error("DNS: the host has no address")]
    NoAddress,
    /// Every address of the host is refused; this is the first.
    #[error("{address} is {class}")]
    Refused { address: IpAddr, class: AddressClass },
    #[error("TCP: {0}")]
    Tcp(#[from] io::Error),
}

/// Connects to hosts. Cheap to clone: the clones are one.
#[derive(Clone, Debug)]
pub(super) struct Dialer(Arc<Rules>);

/// Where connections may go.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// By host, in lower case: the operator's own word, which no rule for destinations overrules.
    pub(super) overrides: HashMap<String, IpAddr>,
    pub(super) destinations: Destinations,
}

impl Dialer {
    pub(super) fn new(rules: Rules) -> Self {
        Self(Arc::new(rules))
    }

    /// Asks DNS anew each time, so that a change of addresses is seen by the next connection. `host` may be an address, in any form that the system's
    /// resolver reads: it goes the same way, and what comes out is checked. Without bound of its own; cancel-safe.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let tcp = race(&self.0.addresses(host, port).await?).await?;
        // The last bytes of a request must not wait for an acknowledgement.
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }
}

impl Rules {
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        if let Some(address) = self.overrides.get(&host.to_ascii_lowercase()) {
            return Ok(vec![SocketAddr::new(*address, port)]);
        }
        let found = lookup_host((host, port)).await.map_err(DialError::Lookup)?;
        let (mut allowed, mut refused) = (Vec::new(), None);
        for address in found {
            match self.destinations.check(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(class) => {
                    refused.get_or_insert(DialError::Refused { address: address.ip(), class });
                }
            }
        }
        if allowed.is_empty() { Err(refused.unwrap_or(DialError::NoAddress)) } else { Ok(in_turn(&allowed)) }
    }
}

/// The step below TLS: to the host and the port of a URL.
impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Self::Response, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move {
            let port = url.port_u16().unwrap_or(if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
            // An address of IPv6 stands in brackets in a URL alone.
            let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
            dialer.connect(host, port).await.map(TokioIo::new)
        })
    }
}

/// The families take turns, beginning with that of the first (RFC 8305, section 4).
pub(super) fn in_turn(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<SocketAddr>, Vec<SocketAddr>) =
        found.iter().copied().partition(|address| address.is_ipv6() == is_v6);
    first.reverse();
    second.reverse();
    let mut ordered = Vec::with_capacity(found.len());
    while ordered.len() < MAX_ADDRESSES && !(first.is_empty() && second.is_empty()) {
        ordered.extend(first.pop());
        ordered.extend(second.pop());
    }
    ordered
}

/// Happy Eyeballs (RFC 8305): the first that is connected wins, the others are dropped.
async fn race(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        attempts.extend(waiting.next().map(|address| TcpStream::connect(*address)));
        let next = if waiting.len() == 0 {
            attempts.next().await
        } else {
            match timeout(HEAD_START, attempts.next()).await {
                Ok(next) => next,
                Err(_elapsed) => continue,
            }
        };
        match next {
            Some(Ok(tcp)) => return Ok(tcp),
            Some(Err(error)) => failed = error,
            None if waiting.len() == 0 => return Err(failed),
            None => {}
        }
    }
}
