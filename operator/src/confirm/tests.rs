use super::*;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kube::runtime::watcher::Event;
use serde_json::json;
use std::convert::Infallible;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

/// Far more than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy that answers as the contract says; what it serves is told by the channel.
struct Proxy {
    serves: watch::Sender<String>,
    task: tokio::task::JoinHandle<()>,
}

async fn answer(query: Option<&str>, mut serves: watch::Receiver<String>) -> String {
    let after = query.and_then(|query| query.split('&').find_map(|part| part.strip_prefix("after=")));
    if let Some(after) = after {
        let _ = timeout(PATIENCE, serves.wait_for(|revision| revision != after)).await;
    }
    let revision = serves.borrow().clone();
    json!({"revision": revision, "sequence": 1}).to_string()
}

fn proxy(listener: TcpListener) -> Proxy {
    let (serves, receiver) = watch::channel("r1".to_owned());
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let receiver = receiver.clone();
            connections.spawn(async move {
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let receiver = receiver.clone();
                    async move {
                        let body = answer(request.uri().query(), receiver).await;
                        Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from(body))))
                    }
                });
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    Proxy { serves, task }
}

fn pod(uid: &str, ip: &str) -> k8s_openapi::api::core::v1::Pod {
    serde_json::from_value(json!({
        "metadata": {"namespace": "ns", "name": uid, "uid": uid},
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap()
}

struct World {
    stores: Arc<Stores>,
    acknowledged: Arc<Acknowledged>,
    _follow: JoinSet<()>,
}

impl World {
    fn new(port: u16) -> Self {
        let (stores, acknowledged) = (Arc::new(Stores::new(0)), Arc::new(Acknowledged::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(Arc::clone(&stores), Arc::clone(&acknowledged), port));
        Self { stores, acknowledged, _follow: tasks }
    }

    fn pods(&self, event: Event<k8s_openapi::api::core::v1::Pod>) {
        self.stores.proxies.source(0).unwrap().apply(event);
        self.stores.wakes.pods.notify_one();
    }

    /// Waits until the acknowledgements are these.
    async fn until(&self, expected: &[(&str, Option<&str>)]) {
        let expected: Acks = expected.iter().map(|(uid, said)| ((*uid).to_owned(), said.map(str::to_owned))).collect();
        let seen = async {
            while self.acknowledged.acks() != expected {
                self.stores.wakes.report.notified().await;
            }
        };
        assert!(timeout(PATIENCE, seen).await.is_ok(), "{:?}, not {expected:?}", self.acknowledged.acks());
    }
}

#[tokio::test]
async fn every_proxy_is_followed_and_a_new_revision_comes_without_asking_again() {
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let (first, second) = (proxy(first), proxy(second));
    let world = World::new(port);
    world.pods(Event::Apply(pod("p", "127.0.0.1")));
    world.pods(Event::Apply(pod("q", "127.0.0.2")));
    world.until(&[("p", Some("r1")), ("q", Some("r1"))]).await;
    first.serves.send_replace("r2".into());
    world.until(&[("p", Some("r2")), ("q", Some("r1"))]).await;
    second.serves.send_replace("r2".into());
    world.until(&[("p", Some("r2")), ("q", Some("r2"))]).await;
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_loses_its_word_and_gets_it_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let before = proxy(listener);
    let world = World::new(address.port());
    world.pods(Event::Apply(pod("p", "127.0.0.1")));
    world.until(&[("p", Some("r1"))]).await;
    before.task.abort();
    let _ = before.task.await;
    world.until(&[("p", None)]).await;
    let _after = proxy(TcpListener::bind(address).await.unwrap());
    world.acknowledged.hurry();
    world.until(&[("p", Some("r1"))]).await;
}

#[tokio::test]
async fn a_proxy_that_goes_is_forgotten() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _proxy = proxy(listener);
    let world = World::new(port);
    world.pods(Event::Apply(pod("p", "127.0.0.1")));
    world.until(&[("p", Some("r1"))]).await;
    world.pods(Event::Delete(pod("p", "127.0.0.1")));
    let gone = async {
        while !world.acknowledged.acks().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, gone).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_is_no_revision_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = proxy(listener);
    let client = client();
    let ask = || poll(&client, address, None);
    assert_eq!(timeout(PATIENCE, ask()).await.unwrap(), Poll::Serves("r1".into()));
    proxy.serves.send_replace(String::new());
    assert_eq!(timeout(PATIENCE, ask()).await.unwrap(), Poll::Serves(String::new()));
    for bad in ["a&b=c".to_owned(), "x".repeat(65), "x".repeat(10_000)] {
        proxy.serves.send_replace(bad);
        assert!(matches!(timeout(PATIENCE, ask()).await.unwrap(), Poll::Failed(_)));
    }
}
