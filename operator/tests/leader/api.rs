//! An API server in memory, as far as the operator uses one: list, watch, get, create, replace with its precondition, apply, merge patch of a status.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::sync::watch;

type Key = (String, String, String);
type Body = UnsyncBoxBody<Bytes, Infallible>;

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    /// Everything that ever happened: version, event type, key, object.
    events: Vec<(u64, &'static str, Key, Value)>,
    /// `resource namespace/name` of every write by a request.
    writes: Vec<String>,
    version: u64,
}

pub(crate) struct Api {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

/// A request's path and query.
struct Target {
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
    status: bool,
    query: BTreeMap<String, String>,
}

impl State {
    fn put(&mut self, resource: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let key = key_of(resource, &object);
        let event = if self.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        self.objects.insert(key.clone(), object.clone());
        self.events.push((self.version, event, key, object.clone()));
        object
    }
}

impl Api {
    /// Starts; gives its URL, too.
    pub(crate) async fn start() -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let api = Arc::new(Self { state: Mutex::default(), changed: watch::Sender::new(0) });
        let served = Arc::clone(&api);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let api = Arc::clone(&served);
                let service = service_fn(move |request| {
                    let api = Arc::clone(&api);
                    async move { Ok::<_, Infallible>(api.answer(request).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        (api, address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn tell(&self) {
        let version = self.state().version;
        self.changed.send_replace(version);
    }

    /// Changes of anything.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        let mut changes = self.changed.subscribe();
        changes.mark_changed();
        changes
    }

    /// Puts an object as a user would: its status stays.
    pub(crate) fn put(&self, resource: &str, mut object: Value) {
        {
            let mut state = self.state();
            if let Some(before) = state.objects.get(&key_of(resource, &object)) {
                object["status"] =
                    if object["status"].is_null() { before["status"].clone() } else { object["status"].take() };
            }
            if object["status"].is_null() {
                object.as_object_mut().unwrap().remove("status");
            }
            state.put(resource, object);
        }
        self.tell();
    }

    pub(crate) fn delete(&self, resource: &str, namespace: &str, name: &str) {
        {
            let mut state = self.state();
            let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
            let mut object = state.objects.remove(&key).unwrap();
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            let version = state.version;
            state.events.push((version, "DELETED", key, object));
        }
        self.tell();
    }

    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.state().objects.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned())).cloned()
    }

    /// What requests wrote, leases apart.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.state().writes.clone()
    }

    pub(crate) fn forget(&self) {
        self.state().writes.clear();
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let target = Target::of(request.uri());
        let (method, kind) = (request.method().clone(), request.headers().get("content-type").cloned());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let apply = kind.is_some_and(|kind| kind.to_str().unwrap().contains("apply-patch"));
        match (method, &target.name) {
            (Method::GET, Some(name)) => {
                match self.get(&target.resource, target.namespace.as_deref().unwrap_or_default(), name) {
                    Some(object) => json_of(StatusCode::OK, &object),
                    None => failure(StatusCode::NOT_FOUND, "NotFound"),
                }
            }
            (Method::GET, None) if target.query.get("watch").is_some_and(|watch| watch == "true") => self.watch(target),
            (Method::GET, None) => {
                let state = self.state();
                let items: Vec<_> =
                    state.objects.iter().filter(|(key, object)| target.takes(key, object)).map(|(_, o)| o).collect();
                let metadata = json!({"resourceVersion": state.version.to_string()});
                json_of(
                    StatusCode::OK,
                    &json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}),
                )
            }
            (method, _) => {
                let answer = self.write(&method, &target, body, apply);
                self.tell();
                answer
            }
        }
    }

    fn write(&self, method: &Method, target: &Target, mut body: Value, apply: bool) -> Response<Body> {
        let namespace = target.namespace.clone().unwrap_or_default();
        body["metadata"]["namespace"] = json!(namespace);
        if let Some(name) = &target.name {
            body["metadata"]["name"] = json!(name);
        }
        let mut state = self.state();
        let key = key_of(&target.resource, &body);
        let before = state.objects.get(&key).cloned();
        let versions =
            (&body["metadata"]["resourceVersion"], before.as_ref().map(|b| &b["metadata"]["resourceVersion"]));
        let object = match (method, before.as_ref()) {
            (&Method::POST, Some(_)) => return failure(StatusCode::CONFLICT, "AlreadyExists"),
            (&Method::PUT, _) if Some(versions.0) != versions.1 => return failure(StatusCode::CONFLICT, "Conflict"),
            (&Method::POST | &Method::PUT, _) => body,
            (&Method::PATCH, None) if !apply => return failure(StatusCode::NOT_FOUND, "NotFound"),
            (&Method::PATCH, Some(before)) if !apply && target.status => {
                if body["metadata"]["uid"] != before["metadata"]["uid"] {
                    return failure(StatusCode::CONFLICT, "Conflict");
                }
                let mut object = before.clone();
                merge(&mut object["status"], &body["status"]);
                object
            }
            (&Method::PATCH, before) if apply => {
                let mut object = before.cloned().unwrap_or_else(|| json!({}));
                merge(&mut object, &body);
                object
            }
            _ => return failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        };
        if target.resource != "leases" {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            state.writes.push(format!("{} {namespace}/{name}", target.resource));
        }
        let unchanged = before.as_ref() == Some(&object);
        json_of(StatusCode::OK, &if unchanged { object } else { state.put(&target.resource, object) })
    }

    fn watch(self: Arc<Self>, target: Target) -> Response<Body> {
        let since: u64 = target.query["resourceVersion"].parse().unwrap();
        let changes = self.changes();
        let events =
            futures::stream::unfold((self, changes, since, target), |(api, mut changes, since, target)| async move {
                loop {
                    let (version, text) = api.events(since, &target);
                    if !text.is_empty() {
                        return Some((
                            Ok::<_, Infallible>(Frame::data(Bytes::from(text))),
                            (api, changes, version, target),
                        ));
                    }
                    changes.changed().await.ok()?;
                }
            });
        Response::new(StreamBody::new(events).boxed_unsync())
    }

    fn events(&self, since: u64, target: &Target) -> (u64, String) {
        let state = self.state();
        let new = state.events.iter().filter(|(version, _, key, object)| *version > since && target.takes(key, object));
        let lines: Vec<_> =
            new.map(|(_, type_, _, object)| json!({"type": type_, "object": object}).to_string()).collect();
        (state.version, lines.into_iter().map(|line| line + "\n").collect())
    }
}

impl Target {
    fn of(uri: &http::Uri) -> Self {
        let mut parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
        parts.drain(..if parts[0] == "api" { 2 } else { 3 });
        let namespace = (parts[0] == "namespaces" && parts.len() > 2).then(|| parts[1].to_owned());
        if namespace.is_some() {
            parts.drain(..2);
        }
        let decoded = |text: &str| text.replace("%3D", "=").replace("%21", "!").replace("%2F", "/").replace("%2C", ",");
        let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), decoded(value)));
        Self {
            resource: parts[0].to_owned(),
            namespace,
            name: parts.get(1).map(|name| (*name).to_owned()),
            status: parts.get(2) == Some(&"status"),
            query: uri.query().unwrap_or_default().split('&').filter_map(pair).collect(),
        }
    }

    fn takes(&self, (resource, namespace, name): &Key, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let selected = match self.query.get("labelSelector").map(String::as_str) {
            None => true,
            Some(text) => match text.split_once('=') {
                Some((label, value)) => labels[label] == value,
                None => labels[text.trim_start_matches('!')].is_null(),
            },
        };
        let named = self.query.get("fieldSelector").and_then(|text| text.strip_prefix("metadata.name="));
        *resource == self.resource
            && self.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
            && named.is_none_or(|wanted| wanted == name)
            && selected
    }
}

fn key_of(resource: &str, object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (resource.to_owned(), text("namespace"), text("name"))
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let object = into.as_object_mut().unwrap();
    for (field, value) in fields {
        if value.is_null() {
            object.remove(field);
        } else {
            merge(object.entry(field).or_insert(Value::Null), value);
        }
    }
}

fn json_of(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync());
    *response.status_mut() = status;
    response
}

fn failure(status: StatusCode, reason: &str) -> Response<Body> {
    let code = status.as_u16();
    json_of(status, &json!({"kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code}))
}
