//! Opens connections: DNS, TCP with Happy Eyeballs, TLS.

use super::connection::Connection;
use super::{Target, UpstreamError};
use futures::future::BoxFuture;
use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

/// A connected upstream, in the clear or with TLS.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// How long a connection may take, TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// Settings of a [`Connector`].
#[derive(Clone, Debug, Default)]
pub struct ConnectorOptions {
    /// Host names that go to a fixed address.
    pub overrides: Vec<HostOverride>,
}

/// `HOST=ADDRESS`: connections to the host go to the address, without asking DNS. TLS still checks the host's name.
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

/// Opens connections to origins.
#[derive(Clone)]
pub struct Connector {
    inner: HttpsConnector<HttpConnector<Resolver>>,
}

impl Connector {
    /// With the system's root certificates. Where there are none, `https` upstreams fail with a certificate error and `http` ones work.
    pub fn new(options: ConnectorOptions) -> Self {
        let overrides = options.overrides.into_iter().map(|o| (o.host, o.address)).collect();
        let mut http =
            HttpConnector::new_with_resolver(Resolver { overrides: Arc::new(overrides), system: GaiResolver::new() });
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT));
        http.set_happy_eyeballs_timeout(Some(Duration::from_millis(250)));
        let tls = ClientConfig::builder().with_native_roots().unwrap_or_else(|error| {
            tracing::warn!(%error, "no root certificates: https upstreams can't be verified and will be refused");
            ClientConfig::builder().with_root_certificates(RootCertStore::empty())
        });
        let inner = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Self { inner }
    }

    pub(super) async fn connect(&self, target: &Target) -> Result<Connection, UpstreamError> {
        let origin = &target.origin;
        let failed = |message: String| UpstreamError::Connect { origin: origin.clone(), message };
        let uri = Uri::builder()
            .scheme(origin.scheme.clone())
            .authority(origin.authority.clone())
            .path_and_query("/")
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let mut inner = self.inner.clone();
        match tokio::time::timeout(CONNECT, inner.call(uri)).await {
            Ok(Ok(stream)) => Connection::open(stream).await,
            Ok(Err(error)) => Err(failed(causes(error.as_ref()))),
            Err(_) => Err(failed(format!("not connected within {} s", CONNECT.as_secs()))),
        }
    }
}

/// An error with its causes: the outermost alone says little.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[derive(Clone)]
struct Resolver {
    overrides: Arc<HashMap<String, IpAddr>>,
    system: GaiResolver,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.system.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        if let Some(address) = self.overrides.get(&name.as_str().to_ascii_lowercase()) {
            let found = vec![SocketAddr::new(*address, 0)];
            return Box::pin(async move { Ok(found.into_iter()) });
        }
        let found = self.system.call(name);
        Box::pin(async move { Ok(found.await?.collect::<Vec<_>>().into_iter()) })
    }
}
