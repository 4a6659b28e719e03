use crate::table::Origin;
use crate::upstream::connector::Offer;
use crate::upstream::{Connector, ConnectorOptions, Target, UpstreamError};
use http::Uri;
use hyper_util::client::legacy::connect::Connection;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ProtocolVersion, ServerConfig};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::LazyConfigAcceptor;

/// An upstream whose certificate is for `model.example` and `::1`. These lead to it, and `other.example`.
struct Far {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    /// Signs for it (PEM).
    ca: Arc<str>,
    connector: Connector,
}

/// What an upstream sees of a client.
#[derive(Debug, PartialEq, Eq)]
struct Hello {
    name: Option<String>,
    protocols: Vec<String>,
}

impl Far {
    async fn new(alpn: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(["model.example".to_owned(), "::1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        config.alpn_protocols = vec![alpn.into()];
        // Also the address, so that machines without IPv6 can run this.
        let overrides = ["model.example=127.0.0.1", "other.example=127.0.0.1", "::1=127.0.0.1"];
        let overrides = overrides.iter().map(|word| word.parse().unwrap()).collect();
        let options = ConnectorOptions { overrides, ..ConnectorOptions::default() };
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            config: Arc::new(config),
            ca: made.cert.pem().into(),
            connector: Connector::new(options),
        }
    }

    /// Connects to it by this host. What it saw, and whether both agreed on HTTP/2.
    async fn connect(&self, host: &str, offer: Offer, ca: Option<&Arc<str>>) -> (Hello, Result<bool, UpstreamError>) {
        let port = self.listener.local_addr().unwrap().port();
        let url: Uri = format!("https://{host}:{port}").parse().unwrap();
        let parts = url.into_parts();
        let origin = Origin { scheme: parts.scheme.unwrap(), authority: parts.authority.unwrap() };
        let target = Target { origin, ca: ca.cloned(), connect: None };
        let trust = self.connector.trust(&target).unwrap();
        let far = async {
            let (tcp, _) = self.listener.accept().await.unwrap();
            let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await.unwrap();
            let hello = start.client_hello();
            let protocols = hello.alpn().into_iter().flatten();
            let protocols = protocols.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            let hello = Hello { name: hello.server_name().map(str::to_owned), protocols };
            (hello, start.into_stream(Arc::clone(&self.config)).await)
        };
        let near = self.connector.connect(&target, &trust, offer);
        let ((hello, accepted), connected) = tokio::join!(far, near);
        if connected.is_ok() {
            let version = accepted.unwrap().get_ref().1.protocol_version();
            assert_eq!(version, Some(ProtocolVersion::TLSv1_3), "the newest that both know");
        }
        (hello, connected.map(|stream| stream.connected().is_negotiated_h2()))
    }
}

fn hello(name: Option<&str>, protocols: &[&str]) -> Hello {
    Hello { name: name.map(str::to_owned), protocols: protocols.iter().map(|&name| name.to_owned()).collect() }
}

#[tokio::test]
async fn tls_names_the_host_and_offers_what_is_wanted() {
    let far = Far::new("h2").await;
    let (seen, connected) = far.connect("model.example", Offer::Both, Some(&far.ca)).await;
    assert_eq!(seen, hello(Some("model.example"), &["h2", "http/1.1"]));
    assert!(connected.unwrap(), "HTTP/2");

    let far = Far::new("http/1.1").await;
    let (seen, connected) = far.connect("model.example", Offer::Http1, Some(&far.ca)).await;
    assert_eq!(seen, hello(Some("model.example"), &["http/1.1"]));
    assert!(!connected.unwrap(), "HTTP/1.1");
}

#[tokio::test]
async fn an_address_is_checked_and_is_no_name_to_ask_for() {
    let far = Far::new("h2").await;
    let (seen, connected) = far.connect("[::1]", Offer::Both, Some(&far.ca)).await;
    assert_eq!(seen.name, None, "RFC 6066, section 3");
    assert!(connected.unwrap());
}

#[tokio::test]
async fn what_tls_fails_by_is_told() {
    let far = Far::new("h2").await;
    let text = |connected: Result<bool, UpstreamError>| match connected {
        Err(UpstreamError::Connect { message, .. }) => message,
        other => panic!("{other:?}"),
    };
    let (_, connected) = far.connect("model.example", Offer::Both, None).await;
    let unknown = text(connected);
    assert!(unknown.starts_with("TLS: invalid peer certificate: UnknownIssuer"), "{unknown}");
    let (_, connected) = far.connect("other.example", Offer::Both, Some(&far.ca)).await;
    let strange = text(connected);
    assert!(strange.starts_with("TLS: invalid peer certificate: certificate not valid for name"), "{strange}");
    let (_, connected) = far.connect("model.example", Offer::Http1, Some(&far.ca)).await;
    assert!(text(connected).starts_with("TLS: received fatal alert: NoApplicationProtocol"));
}
