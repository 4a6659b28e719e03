//! A proxy's admin port: it serves what the index in the API server says, unless it is held.

use crate::api::Api;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    serves: watch::Receiver<String>,
    held: Arc<watch::Sender<bool>>,
}

impl Proxy {
    pub(crate) async fn new(api: Arc<Api>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (serve, serves) = watch::channel(String::new());
        let held = Arc::new(watch::Sender::new(false));
        tokio::spawn(follow(api, serve, held.subscribe()));
        tokio::spawn(listen(listener, serves.clone()));
        Self { port, serves, held }
    }

    /// While held, it does not take a new set.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub(crate) fn revision(&self) -> String {
        self.serves.borrow().clone()
    }
}

async fn follow(api: Arc<Api>, serve: watch::Sender<String>, mut held: watch::Receiver<bool>) {
    let mut changes = api.changes();
    loop {
        let index = api.get("configmaps", "relay", "relay-config");
        let text = index.as_ref().and_then(|index| index["data"]["index.json"].as_str());
        let index: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
        if let Some(revision) = index.as_ref().and_then(|index| index["revision"].as_str()).filter(|_| !*held.borrow())
        {
            serve.send_if_modified(|serves| std::mem::replace(serves, revision.to_owned()) != revision);
        }
        tokio::select! {
            end = changes.changed() => if end.is_err() { return },
            end = held.changed() => if end.is_err() { return },
        }
    }
}

async fn listen(listener: TcpListener, serves: watch::Receiver<String>) {
    while let Ok((stream, _)) = listener.accept().await {
        let serves = serves.clone();
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let mut serves = serves.clone();
            async move {
                let query = request.uri().query().unwrap_or_default().to_owned();
                if let Some(after) = query.split('&').find_map(|part| part.strip_prefix("after=")) {
                    let _ = serves.wait_for(|revision| revision != after).await;
                }
                let body = json!({"revision": *serves.borrow(), "sequence": 1}).to_string();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body))))
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
