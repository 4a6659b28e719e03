//! The admin port: metrics, health, and the revision that the operator waits for.

#[cfg(test)]
mod tests;

use crate::drain::Drain;
use crate::limits::LimitsMode;
use crate::listener::{Arrived, Reserve};
use crate::metrics::Metrics;
use crate::serving::{Revision, Serving};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// The longest wait of a long poll.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Connections at once; one more is closed. Fewer than the descriptors that are kept from clients and upstreams.
const CONNECTIONS: usize = 100;

/// What the admin port tells.
pub struct Admin {
    /// The configuration in service.
    pub serving: Arc<Serving>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// Not ready once it drains.
    pub drain: Drain,
    /// Whether configuration has come, and is as fresh as can be known at start.
    pub ready: watch::Receiver<bool>,
    /// Whether limits are shared.
    pub limits: watch::Receiver<LimitsMode>,
    /// Called before metrics are rendered, for figures that are read and not counted.
    pub refresh: Box<dyn Fn(&Metrics) + Send + Sync>,
}

/// Serves until the task is dropped. The admin port answers throughout a drain.
pub async fn run(listener: TcpListener, admin: Arc<Admin>) {
    // Served also when clients took every descriptor: that is when somebody wants to see the metrics.
    let mut reserve = Reserve::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let (Arrived::Freely(stream) | Arrived::OnReserve(stream)) = reserve.accept(&listener).await;
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(admin.answer(&request).await) }
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(75));
            // Its only errors are those of a client that left.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

impl Admin {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(),
            "/revision" => self.revision(request.uri().query().unwrap_or_default()).await,
            _ => text(StatusCode::NOT_FOUND, "try /metrics, /healthz, /readyz or /revision\n"),
        }
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        if self.drain.unready.is_cancelled() {
            text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        } else if *self.ready.borrow() {
            text(StatusCode::OK, "ok\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "no configuration yet\n")
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        (self.refresh)(&self.metrics);
        self.metrics.render().map_or_else(
            |error| text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
            |body| respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body),
        )
    }

    /// `?after=R&wait=10s`: answers when the revision is another than R, when limits begin or cease to be shared, or after the wait.
    async fn revision(&self, query: &str) -> Response<Full<Bytes>> {
        let mut after = None;
        let mut wait = Duration::ZERO;
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "after" => after = Some(value),
                "wait" => match value.strip_suffix('s').and_then(|seconds| seconds.parse().ok()) {
                    Some(seconds) => wait = Duration::from_secs(seconds).min(LONGEST_WAIT),
                    None => return text(StatusCode::BAD_REQUEST, "wait is a number of seconds, such as wait=10s\n"),
                },
                _ => {}
            }
        }
        let (mut watch, mut limits) = (self.serving.watch(), self.limits.clone());
        let mode = *limits.borrow_and_update();
        if let Some(after) = after {
            // Both ways of not changing, the time-out and a proxy that ends, are answered with what is served.
            let _ = tokio::time::timeout(wait, async {
                tokio::select! {
                    _ = watch.wait_for(|current| current.revision != after) => {}
                    _ = limits.wait_for(|current| current.label() != mode.label()) => {}
                }
            })
            .await;
        }
        let Revision { revision, sequence } = watch.borrow().clone();
        let mode = *limits.borrow();
        let limits = json!({"mode": mode.label(), "reason": mode.reason()});
        let body = json!({"revision": revision, "sequence": sequence, "limits": limits}).to_string();
        respond(StatusCode::OK, "application/json", body)
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body.to_owned())
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
