//! The same over TLS, with h2 where the client offers it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use relay_e2e::provider::tls::{Alpn, Tls};
use relay_e2e::provider::{Config, Provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::chat;

async fn secure(alpn: Alpn) -> Provider {
    let tls = Tls::made_for(&["localhost"], alpn).expect("a certificate");
    Provider::start(Config { tls: Some(tls), ..Config::default() }).await.expect("a free port")
}

async fn connect(addr: SocketAddr, ca: &str, offered: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    let tcp = TcpStream::connect(addr).await.expect("connects");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake")
}

fn request(model: &str) -> Request<Full<Bytes>> {
    Request::post("https://localhost/v1/chat/completions")
        .header("host", "localhost")
        .header("authorization", "Bearer k")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(chat(model))))
        .expect("a request")
}

async fn post_h2(addr: SocketAddr, ca: &str, model: &str) -> (Vec<u8>, bool) {
    let stream = connect(addr, ca, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("h2");
    tokio::spawn(async move { connection.await.err() });
    let response = sender.send_request(request(model)).await.expect("a head");
    assert_eq!(response.version(), Version::HTTP_2);
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (bytes, false) };
        bytes.extend_from_slice(frame.data_ref().expect("no trailers"));
    }
    (bytes, true)
}

#[tokio::test]
async fn alpn_chooses_the_protocol() {
    let provider = secure(Alpn::Both).await;
    let ca = provider.ca().expect("a certificate").to_owned();
    let (body, whole) = post_h2(provider.addr(), &ca, "fake-ok").await;
    assert!(whole && body.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(provider.requests()[0].request.protocol, "h2");

    let provider = secure(Alpn::Http1).await;
    let ca = provider.ca().expect("a certificate").to_owned();
    let stream = connect(provider.addr(), &ca, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("h1");
    tokio::spawn(async move { connection.await.err() });
    let response = sender.send_request(request("fake-ok")).await.expect("a head");
    let body = response.into_body().collect().await.expect("a whole answer").to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_stream_goes_wrong_over_h2_as_it_does_over_h1() {
    let provider = secure(Alpn::Both).await;
    let ca = provider.ca().expect("a certificate").to_owned();
    for model in ["fake-cut", "fake-reset", "fake-bad-chunk", "fake-short-length"] {
        let (body, whole) = post_h2(provider.addr(), &ca, model).await;
        assert!(!whole, "{model}");
        assert_eq!(body.windows(2).filter(|two| two == b"\n\n").count(), 1 + 8, "{model}");
    }
}
