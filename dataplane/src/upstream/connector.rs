//! Opens connections: DNS, TCP, TLS.

use super::destinations::{Cidr, Destinations};
use super::dial::{DialError, Dialer, Rules};
use super::tls::{Trust, Trusts};
use super::{Target, UpstreamError};
use crate::table::Origin;
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

/// The bytes of one connection, in the clear or with TLS. Boxed, since the state of TLS is large.
pub(super) type Stream = Box<MaybeHttpsStream<TokioIo<TcpStream>>>;

/// Settings of a [`Connector`].
#[derive(Clone, Debug, Default)]
pub struct ConnectorOptions {
    /// Host names that go to a fixed address.
    pub overrides: Vec<HostOverride>,
    /// Destinations that pass, though they are denied or special.
    pub allow: Vec<Cidr>,
    /// Destinations that are refused beside the special ones.
    pub deny: Vec<Cidr>,
}

/// `HOST=ADDRESS`: connections to the host go to the address, without asking DNS. TLS still checks the host's name. The address is allowed by that,
/// for this host alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOverride {
    host: String,
    address: IpAddr,
}

impl FromStr for HostOverride {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, address) = text.split_once('=').ok_or("write HOST=ADDRESS, such as provider.example=127.0.0.1")?;
        let address = address.parse().map_err(|_| format!("{address} is not an IP address"))?;
        Ok(Self { host: host.to_ascii_lowercase(), address })
    }
}

/// What TLS offers to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 and HTTP/1.1.
    Both,
    /// HTTP/1.1 alone, for upgrades.
    Http1,
}

/// Opens connections to origins.
#[derive(Clone)]
pub struct Connector {
    trusts: Arc<Trusts>,
}

impl Connector {
    /// With the system's root certificates. Where there are none, `https` upstreams fail with a certificate error and `http` ones work.
    pub fn new(options: ConnectorOptions) -> Self {
        let overrides = options.overrides.into_iter().map(|o| (o.host, o.address)).collect();
        let destinations = Destinations { allow: options.allow, deny: options.deny };
        Self { trusts: Arc::new(Trusts::new(Dialer::new(Rules { overrides, destinations }))) }
    }

    /// Whose certificates the target's are checked by.
    pub(super) fn trust(&self, target: &Target) -> Result<Arc<Trust>, UpstreamError> {
        self.trusts.of(target.ca.as_ref()).map_err(|error| failed(&target.origin, error.to_string()))
    }

    /// Within the target's connect time. Cancel-safe: dropping it closes the connection.
    pub(super) async fn connect(&self, target: &Target, trust: &Trust, offer: Offer) -> Result<Stream, UpstreamError> {
        let https = match offer {
            Offer::Both => &trust.both,
            Offer::Http1 => &trust.h1,
        };
        within(target, open(&target.origin, https.clone())).await
    }
}

async fn open(origin: &Origin, mut https: HttpsConnector<Dialer>) -> Result<Stream, UpstreamError> {
    let Origin { scheme, authority } = origin.clone();
    let url = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
    let url = url.map_err(|error| failed(origin, error.to_string()))?;
    let opened = match poll_fn(|cx| https.poll_ready(cx)).await {
        Ok(()) => https.call(url).await,
        Err(error) => Err(error),
    };
    opened.map(Box::new).map_err(|error| match error.downcast::<DialError>().map(|error| *error) {
        Ok(DialError::Refused { address, class }) => UpstreamError::Refused { address, class },
        Ok(other) => failed(origin, other.to_string()),
        Err(tls) => failed(origin, format!("TLS: {tls}")),
    })
}

fn failed(origin: &Origin, message: String) -> UpstreamError {
    UpstreamError::Connect { origin: origin.clone(), message }
}

/// Bounds what leads to a connection by the target's connect time.
pub(super) async fn within<T>(
    target: &Target,
    connecting: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    let Some(limit): Option<Duration> = target.connect else { return connecting.await };
    let late = |_| failed(&target.origin, format!("not connected within {limit:?}"));
    timeout(limit, connecting).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
}
