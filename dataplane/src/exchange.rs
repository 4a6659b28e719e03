//! One request from its head to its end: what is counted and logged of it, and the guard that its end is decided exactly once.

use crate::format::Usage;
use crate::metrics::{Metrics, millis, whole_micros};
use crate::reason::{Reason, StreamEnd};
use crate::relay::Deadline;
use prometheus::IntGauge;
use relay_snapshot::Provider;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What an answer carries, as metrics tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// `text/event-stream`.
    Sse,
    /// JSON, and all answers that the relay makes.
    #[default]
    Json,
    /// Everything else: audio, files.
    Binary,
    /// The frames of a WebSocket, both ways.
    WebSocket,
}

impl Kind {
    /// The label value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::Json => "json",
            Self::Binary => "binary",
            Self::WebSocket => "websocket",
        }
    }

    /// By the value of `content-type`.
    pub fn of(content_type: &[u8]) -> Self {
        // Whole: `application/jsonl` is no JSON text.
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &[u8]| essence.eq_ignore_ascii_case(name);
        if is(b"text/event-stream") {
            Self::Sse
        } else if is(b"application/json") {
            Self::Json
        } else {
            Self::Binary
        }
    }
}

/// What went through a WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tunnelled {
    /// Bytes of the client, frames and all.
    pub bytes_in: u64,
    /// Bytes to the client, frames and all.
    pub bytes_out: u64,
    /// Whole messages of the client.
    pub messages_in: u64,
    /// Whole messages of the upstream.
    pub messages_out: u64,
}

/// A request under way. Its end is what [`Exchange::end`] is first told; dropped without, the client went away.
pub struct Exchange {
    metrics: Arc<Metrics>,
    started: Instant,
    ended: bool,
    /// The client's `x-request-id`, or one made here.
    pub request_id: String,
    /// Method of the request.
    pub method: http::Method,
    /// Path of the request, without its query.
    pub path: String,
    /// `namespace/name` of the tenant.
    pub tenant: Option<Arc<str>>,
    /// First 8 hex digits of the key's digest.
    pub key_id: Option<String>,
    /// `namespace/name` of the route.
    pub route: Option<Arc<str>>,
    /// The provider of the backend.
    pub provider: Option<Provider>,
    /// Name of the backend.
    pub backend: Option<String>,
    /// Requests that were sent to backends.
    pub attempts: u32,
    /// What the answer carries.
    pub kind: Kind,
    /// Status code that the client was sent.
    pub code: Option<u16>,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// What its answer cost, as far as the provider told.
    pub usage: Usage,
    first_byte: Option<Duration>,
    bytes_out: u64,
    chunks: u64,
    /// Boxed: most requests have none.
    tunnelled: Option<Box<Tunnelled>>,
    /// Counts it while its answer runs.
    running: Option<IntGauge>,
}

impl Exchange {
    /// Begins with the head of a request.
    pub fn begin(metrics: Arc<Metrics>, request_id: String, method: http::Method, path: String) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            ended: false,
            request_id,
            method,
            path,
            tenant: None,
            key_id: None,
            route: None,
            provider: None,
            backend: None,
            attempts: 0,
            kind: Kind::default(),
            code: None,
            reason: None,
            usage: Usage::default(),
            first_byte: None,
            bytes_out: 0,
            chunks: 0,
            tunnelled: None,
            running: None,
        }
    }

    /// When it must be over, `total` after its head came.
    pub fn deadline(&self, total: Option<Duration>) -> Deadline {
        Deadline::after(self.started, total)
    }

    /// A piece of the answer's body is on its way to the client.
    pub fn saw(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
        self.chunks += 1;
    }

    /// Pieces and bytes so far.
    pub fn counted(&self) -> (u64, u64) {
        (self.chunks, self.bytes_out)
    }

    /// The upstream's first byte is there.
    pub fn first_byte(&mut self) {
        if self.first_byte.is_none() {
            self.first_byte = Some(self.started.elapsed());
        }
    }

    /// The head of an upstream's answer goes out to the client: from now to its end it counts as a running stream.
    pub fn goes_out(&mut self) {
        if self.running.is_none() && !self.ended {
            let gauge = self.metrics.active_streams.with_label_values(&[self.labels().0]);
            gauge.inc();
            self.running = Some(gauge);
        }
    }

    /// What went through its WebSocket.
    pub fn tunnelled(&mut self, through: Tunnelled) {
        self.bytes_out = through.bytes_out;
        self.chunks = through.messages_out;
        self.tunnelled = Some(Box::new(through));
    }

    /// Ends it. Only the first call counts.
    pub fn end(&mut self, end: StreamEnd) {
        if self.ended {
            return;
        }
        self.ended = true;
        if let Some(running) = self.running.take() {
            running.dec();
        }
        self.count(end);
        self.log(end);
    }

    /// Whether the end is decided.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn labels(&self) -> (&str, &str) {
        (self.route.as_deref().unwrap_or("none"), self.provider.map_or("none", Provider::name))
    }

    fn count(&self, end: StreamEnd) {
        let (route, provider) = self.labels();
        let tenant = self.tenant.as_deref().unwrap_or("none");
        // 499: the client left before it was answered (nginx's number, known to every dashboard).
        let code = self.code.unwrap_or(499).to_string();
        let metrics = &self.metrics;
        metrics.requests.with_label_values(&[route, tenant, provider, &code, end.name()]).inc();
        let kind = self.kind.name();
        metrics.duration_ms.with_label_values(&[route, provider, kind]).observe(millis(self.started.elapsed()));
        if let Some(first_byte) = self.first_byte {
            metrics.first_byte_ms.with_label_values(&[route, provider, kind]).observe(millis(first_byte));
        }
        if let Some(characters) = self.usage.characters {
            metrics.characters.with_label_values(&[route, tenant, provider]).inc_by(characters);
        }
        if let Some(reason) = self.reason {
            metrics.errors.with_label_values(&[route, provider, reason.name()]).inc();
        }
    }

    fn log(&self, end: StreamEnd) {
        let (route, provider) = self.labels();
        let through = self.tunnelled.as_deref();
        tracing::info!(
            target: "relay::request",
            request_id = %self.request_id,
            tenant = self.tenant.as_deref(),
            key = self.key_id.as_deref(),
            route,
            provider,
            backend = self.backend.as_deref(),
            method = %self.method,
            path = %self.path,
            code = self.code,
            end = end.name(),
            reason = self.reason.map(Reason::name),
            kind = self.kind.name(),
            duration_ms = whole_micros(self.started.elapsed()),
            first_byte_ms = self.first_byte.map(whole_micros),
            chunks = self.chunks,
            bytes_out = self.bytes_out,
            bytes_in = through.map(|through| through.bytes_in),
            messages_in = through.map(|through| through.messages_in),
            messages_out = through.map(|through| through.messages_out),
            attempts = self.attempts,
            tokens_in = self.usage.input,
            tokens_out = self.usage.output,
            tokens_cached = self.usage.cached,
            tokens_reasoning = self.usage.reasoning,
            characters = self.usage.characters,
        );
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.end(StreamEnd::ClientGone);
    }
}
