//! Opens connections: DNS, TCP, TLS.

use super::destinations::{Cidr, Destinations};
use super::dial::{DialError, Dialer};
use super::stream::Stream;
use super::tls::{Trust, Trusts};
use super::{Target, UpstreamError};
use crate::table::Origin;
use http::uri::Scheme;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

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
    dialer: Arc<Dialer>,
    trusts: Arc<Trusts>,
}

impl Connector {
    /// With the system's root certificates. Where there are none, `https` upstreams fail with a certificate error and `http` ones work.
    pub fn new(options: ConnectorOptions) -> Self {
        let overrides = options.overrides.into_iter().map(|o| (o.host, o.address)).collect();
        let destinations = Destinations { allow: options.allow, deny: options.deny };
        Self { dialer: Arc::new(Dialer { overrides, destinations }), trusts: Arc::new(Trusts::new()) }
    }

    /// Whose certificates the target's are checked by.
    pub(super) fn trust(&self, target: &Target) -> Result<Trust, UpstreamError> {
        self.trusts.of(target.ca.as_ref()).map_err(|error| failed(&target.origin, error.to_string()))
    }

    /// Within the target's connect time. Cancel-safe: dropping it closes the connection.
    pub(super) async fn connect(&self, target: &Target, trust: &Trust, offer: Offer) -> Result<Stream, UpstreamError> {
        let config = match offer {
            Offer::Both => &trust.both,
            Offer::Http1 => &trust.h1,
        };
        within(target, self.open(&target.origin, config)).await
    }

    async fn open(&self, origin: &Origin, config: &Arc<ClientConfig>) -> Result<Stream, UpstreamError> {
        let secure = origin.scheme == Scheme::HTTPS;
        let port = origin.authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        // An address of IPv6 stands in brackets in a URL alone.
        let host = origin.authority.host().trim_start_matches('[').trim_end_matches(']');
        let tcp = self.dialer.connect(host, port).await.map_err(|error| match error {
            DialError::Refused { address, class } => UpstreamError::Refused { address, class },
            other => failed(origin, other.to_string()),
        })?;
        if !secure {
            return Ok(Stream::Plain(tcp));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(origin, error.to_string()))?;
        let tls = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await;
        tls.map(|tls| Stream::Tls(Box::new(tls))).map_err(|error| failed(origin, format!("TLS: {error}")))
    }
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
