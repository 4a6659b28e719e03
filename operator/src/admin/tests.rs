use super::*;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

async fn admin(ready: &Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ready = Arc::clone(ready);
    let ready = Arc::new(move || ready.load(Ordering::SeqCst));
    tokio::spawn(serve(listener, Admin { metrics: Metrics::new().unwrap(), ready }));
    address
}

async fn ask(address: SocketAddr, method: Method, path: &str) -> (u16, String) {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder().method(method).uri(format!("http://{address}{path}")).body(Empty::new()).unwrap();
    let response = client.request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn is_healthy_at_once_and_ready_when_the_watches_have_listed() {
    let ready = Arc::new(AtomicBool::new(false));
    let address = admin(&ready).await;
    assert_eq!(ask(address, Method::GET, "/healthz").await.0, 200);
    assert_eq!(ask(address, Method::GET, "/readyz").await.0, 503);
    ready.store(true, Ordering::SeqCst);
    assert_eq!(ask(address, Method::GET, "/readyz").await.0, 200);
}

#[tokio::test]
async fn shows_figures_and_refuses_the_rest() {
    let address = admin(&Arc::default()).await;
    let (status, text) = ask(address, Method::GET, "/metrics").await;
    assert_eq!(status, 200);
    for name in ["relay_operator_leader 0", "relay_operator_ack_ms_count 0", "relay_operator_reconcile_ms_bucket"] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    assert_eq!(ask(address, Method::GET, "/").await.0, 404);
    assert_eq!(ask(address, Method::POST, "/metrics").await.0, 405);
}
