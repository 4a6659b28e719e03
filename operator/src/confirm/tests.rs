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

/// What a proxy answers: its revision, and the mode of its limits with a reason.
type Says = (String, Option<(&'static str, String)>);

/// A proxy that answers as the contract says; what it serves is told by the channel.
struct Proxy {
    serves: watch::Sender<Says>,
    /// How many questions waited for a change so far.
    waiting: watch::Receiver<u32>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    fn serve(&self, revision: impl Into<String>) {
        self.serves.send_modify(|says| says.0 = revision.into());
    }

    /// Waits until so many questions waited for a change: it is the answer to the last of them that tells it.
    async fn asked(&self, times: u32) {
        let mut waiting = self.waiting.clone();
        assert!(timeout(PATIENCE, waiting.wait_for(|count| *count >= times)).await.is_ok());
    }

    fn limits(&self, mode: &'static str, reason: &str) {
        self.serves.send_modify(|says| says.1 = Some((mode, reason.to_owned())));
    }
}

async fn answer(query: Option<&str>, mut serves: watch::Receiver<Says>, waiting: &watch::Sender<u32>) -> String {
    let after = query.and_then(|query| query.split('&').find_map(|part| part.strip_prefix("after=")));
    let known = serves.borrow_and_update().1.clone();
    if let Some(after) = after {
        waiting.send_modify(|count| *count += 1);
        let _ = timeout(PATIENCE, serves.wait_for(|(revision, limits)| revision != after || *limits != known)).await;
    }
    let (revision, limits) = serves.borrow().clone();
    match limits {
        Some((mode, reason)) => {
            json!({"revision": revision, "sequence": 1, "limits": {"mode": mode, "reason": reason}}).to_string()
        }
        None => json!({"revision": revision, "sequence": 1}).to_string(),
    }
}

fn proxy(listener: TcpListener) -> Proxy {
    let (serves, receiver) = watch::channel(("r1".to_owned(), None));
    let (waits, waiting) = watch::channel(0);
    let waits = Arc::new(waits);
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (receiver, waits) = (receiver.clone(), Arc::clone(&waits));
            connections.spawn(async move {
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (receiver, waits) = (receiver.clone(), Arc::clone(&waits));
                    async move {
                        let body = answer(request.uri().query(), receiver, &waits).await;
                        Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from(body))))
                    }
                });
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    Proxy { serves, waiting, task }
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
        let ack = |revision: &str| Ack { revision: revision.to_owned(), apart: None };
        self.until_said(expected.iter().map(|(uid, said)| ((*uid).to_owned(), said.map(ack))).collect()).await;
    }

    async fn until_said(&self, expected: Acks) {
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
    first.serve("r2");
    world.until(&[("p", Some("r2")), ("q", Some("r1"))]).await;
    second.serve("r2");
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
    let says = |revision: &str, apart: Option<&str>| {
        Poll::Says(Ack { revision: revision.to_owned(), apart: apart.map(str::to_owned) })
    };
    assert_eq!(timeout(PATIENCE, ask()).await.unwrap(), says("r1", None));
    proxy.serve("");
    assert_eq!(timeout(PATIENCE, ask()).await.unwrap(), says("", None));
    for bad in ["a&b=c".to_owned(), "x".repeat(65), "x".repeat(10_000)] {
        proxy.serve(bad);
        assert!(matches!(timeout(PATIENCE, ask()).await.unwrap(), Poll::Failed(_)));
    }
}

#[tokio::test]
async fn a_proxy_tells_that_it_does_not_share_the_limits_as_soon_as_it_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = proxy(listener);
    proxy.limits("shared", "");
    let world = World::new(port);
    world.pods(Event::Apply(pod("p", "127.0.0.1")));
    world.until(&[("p", Some("r1"))]).await;
    proxy.asked(1).await;
    proxy.limits("local", "Redis does not answer in time");
    let apart = Some(Ack { revision: "r1".into(), apart: Some("Redis does not answer in time".into()) });
    world.until_said(Acks::from([("p".to_owned(), apart)])).await;
    proxy.asked(2).await;
    proxy.limits("shared", "");
    world.until(&[("p", Some("r1"))]).await;
}

#[tokio::test]
async fn only_a_proxy_that_has_a_redis_and_does_not_reach_it_is_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = proxy(listener);
    let client = client();
    let modes = [
        ("shared", "", None),
        ("none", "no Redis is configured", None),
        ("quorate", "a word of a later proxy", None),
        ("local", "READONLY", Some("READONLY")),
        ("local", "two\nlines\u{7}", Some("twolines")),
        ("local", "", Some("no reason was given")),
    ];
    for (mode, reason, apart) in modes {
        proxy.limits(mode, reason);
        let said = timeout(PATIENCE, poll(&client, address, None)).await.unwrap();
        assert_eq!(said, Poll::Says(Ack { revision: "r1".into(), apart: apart.map(str::to_owned) }));
    }
    proxy.limits("local", &"é".repeat(500));
    let Poll::Says(ack) = timeout(PATIENCE, poll(&client, address, None)).await.unwrap() else { panic!("no answer") };
    assert_eq!(ack.apart.unwrap().chars().count(), 200);
}
