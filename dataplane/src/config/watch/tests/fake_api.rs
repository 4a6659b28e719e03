//! As much of an API server as the watch needs: list, watch with resume, get by name, and outages.

use base64::Engine as _;
use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use relay_snapshot::shards::{INDEX_KEY, INDEX_NAME, SHARD_KEY, Shards};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Default)]
struct State {
    version: u64,
    /// `configmaps/NAME` or `secrets/NAME`.
    objects: BTreeMap<String, Value>,
    /// What watchers of the index see: version and line.
    events: Vec<(u64, String)>,
    /// Names of shards that were read, in order.
    gets: Vec<String>,
    /// How often a shard is still given as it was, and that old one.
    stale: BTreeMap<String, (u32, Value)>,
    /// Gets are answered with this status.
    failing: Option<u16>,
}

struct Shared {
    state: Mutex<State>,
    written: watch::Sender<u64>,
}

pub(super) struct FakeApi {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: Mutex<Option<JoinHandle<()>>>,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

impl FakeApi {
    pub(super) async fn start() -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), written: watch::channel(0).0 });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Mutex::new(Some(serve(listener, Arc::clone(&shared))));
        Self { shared, address, server }
    }

    pub(super) fn client(&self) -> kube::Client {
        let mut config = kube::Config::new(format!("http://{}", self.address).parse().unwrap());
        config.default_retry = false;
        config.try_into().unwrap()
    }

    /// Nothing listens any more, and open connections break.
    pub(super) async fn stop(&self) {
        let server = self.server.lock().unwrap().take().unwrap();
        server.abort();
        _ = server.await;
    }

    pub(super) async fn resume(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        *self.server.lock().unwrap() = Some(serve(listener, Arc::clone(&self.shared)));
    }

    pub(super) fn put_shards(&self, shards: &Shards) {
        for (name, text) in &shards.configs {
            self.put_raw("configmaps", name, json!({"data": {SHARD_KEY: text}}));
        }
        for (name, text) in &shards.secrets {
            let data = base64::engine::general_purpose::STANDARD.encode(text);
            self.put_raw("secrets", name, json!({"data": {SHARD_KEY: data}}));
        }
    }

    pub(super) fn put_index(&self, text: &str) {
        let object = self.put_raw("configmaps", INDEX_NAME, json!({"data": {INDEX_KEY: text}}));
        let mut state = self.shared.state.lock().unwrap();
        let version = state.version;
        state.events.push((version, format!("{}\n", json!({"type": "MODIFIED", "object": object}))));
        drop(state);
        self.shared.written.send_replace(version);
    }

    pub(super) fn put_raw(&self, resource: &str, name: &str, mut object: Value) -> Value {
        let mut state = self.shared.state.lock().unwrap();
        state.version += 1;
        object["apiVersion"] = json!("v1");
        object["kind"] = json!(if resource == "secrets" { "Secret" } else { "ConfigMap" });
        object["metadata"] = json!({"name": name, "namespace": "relay", "resourceVersion": state.version.to_string()});
        state.objects.insert(format!("{resource}/{name}"), object.clone());
        object
    }

    pub(super) fn delete_index(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.version += 1;
        let version = state.version;
        let mut object = state.objects.remove(&format!("configmaps/{INDEX_NAME}")).unwrap();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        state.events.push((version, format!("{}\n", json!({"type": "DELETED", "object": object}))));
        drop(state);
        self.shared.written.send_replace(version);
    }

    /// The next `times` gets of the Secret give what it is now, whatever is written meanwhile.
    pub(super) fn answer_stale(&self, secret: &str, times: u32) {
        let mut state = self.shared.state.lock().unwrap();
        let old = state.objects[&format!("secrets/{secret}")].clone();
        state.stale.insert(secret.to_owned(), (times, old));
    }

    pub(super) fn fail_gets(&self, status: Option<u16>) {
        self.shared.state.lock().unwrap().failing = status;
    }

    /// The shards that were read since the last call.
    pub(super) fn take_gets(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state.lock().unwrap().gets)
    }
}

fn serve(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    tokio::spawn(async move {
        // Dropped with this task, so that an outage ends the connections too.
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let answer = answer(&shared, &request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

fn answer(shared: &Arc<Shared>, request: &Request<Incoming>) -> Answer {
    let path = request.uri().path().strip_prefix("/api/v1/namespaces/relay/").expect("only the own namespace");
    let query = request.uri().query().unwrap_or_default();
    match path.split_once('/') {
        None => {
            assert_eq!(path, "configmaps", "the Role allows no list of Secrets");
            assert!(
                query.contains("fieldSelector=metadata.name%3Drelay-config"),
                "the Role allows no list of all: {query}"
            );
            if query.contains("watch=true") { watch_index(shared, query) } else { list_index(shared) }
        }
        Some((resource, name)) => get(shared, resource, name),
    }
}

fn list_index(shared: &Shared) -> Answer {
    let state = shared.state.lock().unwrap();
    let items: Vec<_> = state.objects.get(&format!("configmaps/{INDEX_NAME}")).into_iter().collect();
    let version = state.version.max(1).to_string();
    json_answer(
        200,
        &json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": version}, "items": items}),
    )
}

fn watch_index(shared: &Arc<Shared>, query: &str) -> Answer {
    let from =
        query.split('&').find_map(|part| part.strip_prefix("resourceVersion=")).expect("a watch says from where");
    let state = (Arc::clone(shared), shared.written.subscribe(), from.parse::<u64>().unwrap());
    let lines = futures::stream::unfold(state, |(shared, mut written, from)| async move {
        loop {
            let next = shared.state.lock().unwrap().events.iter().find(|(version, _)| *version > from).cloned();
            if let Some((version, line)) = next {
                return Some((line, (shared, written, version)));
            }
            written.changed().await.ok()?;
        }
    });
    let frames = lines.map(|line| Ok::<_, Infallible>(Frame::data(Bytes::from(line))));
    Response::new(BodyExt::boxed(StreamBody::new(Box::pin(frames) as SyncStream)))
}

type SyncStream =
    std::pin::Pin<Box<dyn futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync + 'static>>;

fn get(shared: &Shared, resource: &str, name: &str) -> Answer {
    let mut state = shared.state.lock().unwrap();
    if let Some(status) = state.failing {
        return failure(status);
    }
    state.gets.push(name.to_owned());
    if let Some((left, old)) = state.stale.get_mut(name)
        && *left > 0
    {
        *left -= 1;
        return json_answer(200, old);
    }
    match state.objects.get(&format!("{resource}/{name}")) {
        Some(object) => json_answer(200, object),
        None => failure(404),
    }
}

fn failure(status: u16) -> Answer {
    let reason = match status {
        403 => "Forbidden",
        404 => "NotFound",
        _ => "InternalError",
    };
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason, "code": status});
    json_answer(status, &body)
}

fn json_answer(status: u16, body: &Value) -> Answer {
    let mut answer = Response::new(BodyExt::boxed(Full::new(Bytes::from(body.to_string()))));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}
