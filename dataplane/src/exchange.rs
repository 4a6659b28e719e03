//! One request from its head to its end: what is counted and logged of it, and the guard that its end is decided exactly once.

mod bill;

pub use bill::{Answered, Bill, Cost};

use crate::drain::Cut;
use crate::format::Seen;
use crate::limits::{Reservation, Used};
use crate::metrics::{Metrics, millis, whole_micros};
use crate::reason::{Reason, StreamEnd};
use crate::relay::Deadline;
use prometheus::IntGauge;
use prometheus::local::LocalHistogram;
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
    /// The model that it asks for, where that was looked for.
    pub model: Option<String>,
    /// Its route names that model, so that it may be a label.
    pub names_model: bool,
    /// It asks for a stream, and a budget that stops those may end it.
    pub streams: bool,
    /// What it costs.
    pub cost: Cost,
    /// What it holds of its tenant's limits.
    reservation: Option<Reservation>,
    /// What its client is told when a budget is spent that stops streams.
    spends: Option<Box<str>>,
    /// From its head to its first attempt, without the waits for its body.
    before: Option<Duration>,
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
            model: None,
            names_model: false,
            streams: false,
            cost: Cost::default(),
            reservation: None,
            spends: None,
            before: None,
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

    /// It holds this of its tenant's limits until its end, where it is settled with what it cost. `spends`: what its client is told when that is
    /// spent.
    pub fn reserve(&mut self, reservation: Option<Reservation>, spends: Option<Box<str>>) {
        self.reservation = reservation;
        self.spends = spends;
    }

    /// What its client is told when a budget is spent that stops streams.
    pub fn spends(&self) -> Option<&str> {
        self.spends.as_deref()
    }

    /// What ends it when a budget is spent that stops streams.
    pub fn stop(&self) -> Option<&Cut> {
        self.reservation.as_ref()?.stop()
    }

    /// Whether it holds something that [`progress`](Self::progress) draws from.
    pub const fn is_reserved(&self) -> bool {
        self.reservation.is_some()
    }

    /// More of its answer went by. Some nanoseconds, and nothing where nothing is reserved.
    pub fn progress(&mut self, seen: &Seen) {
        if let Some(reservation) = &self.reservation {
            self.cost.seen = *seen;
            reservation.progress(used(&self.cost.so_far()));
        }
    }

    /// It is sent for the first time; `waited`: so long of its time for its body.
    pub fn goes_up(&mut self, waited: Duration) {
        if self.before.is_none() {
            self.before = Some(self.started.elapsed().saturating_sub(waited));
        }
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
            if let (Some(before), Some(first_byte)) = (self.before, self.first_byte) {
                let overhead = before + self.started.elapsed().saturating_sub(first_byte);
                self.metrics.overhead_ms.with_label_values(&[self.labels().0]).observe(millis(overhead));
            }
        }
    }

    /// What went through its WebSocket.
    pub fn tunnelled(&mut self, through: Tunnelled) {
        self.bytes_out = through.bytes_out;
        self.chunks = through.messages_out;
        self.tunnelled = Some(Box::new(through));
    }

    /// What gathers the pauses of its answer, to be flushed when it is over.
    pub fn gaps(&self) -> LocalHistogram {
        self.metrics.chunk_gap_ms.with_label_values(&[self.labels().0]).local()
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
        let bill = self.cost.bill(end);
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(used(&bill));
        }
        self.count(end);
        self.count_usage(&bill);
        self.log(end, &bill);
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
        if let Some(reason) = self.reason {
            metrics.errors.with_label_values(&[route, provider, reason.name()]).inc();
        }
    }

    fn count_usage(&self, bill: &Bill) {
        let (route, provider) = self.labels();
        let tenant = self.tenant.as_deref().unwrap_or("none");
        let metrics = &self.metrics;
        if let Some(characters) = bill.usage.characters {
            metrics.characters.with_label_values(&[route, tenant, provider]).inc_by(characters);
        }
        let model = self.model.as_deref().filter(|_| self.names_model).unwrap_or("other");
        let usage = &bill.usage;
        for (direction, tokens, is_estimated) in [
            ("input", usage.input, bill.estimates_input),
            ("output", usage.output, bill.estimates_output),
            ("cached", usage.cached, false),
            ("reasoning", usage.reasoning, false),
        ] {
            let estimated = if is_estimated { "true" } else { "false" };
            if let Some(tokens @ 1..) = tokens {
                let labels = [route, tenant, provider, model, direction, estimated];
                metrics.tokens.with_label_values(&labels).inc_by(tokens);
            }
        }
        metrics.bytes_in.inc_by(self.bytes_in().unwrap_or_default());
        metrics.bytes_out.inc_by(self.bytes_out);
    }

    /// Bytes of the client that went up.
    fn bytes_in(&self) -> Option<u64> {
        let tunnelled = self.tunnelled.as_deref().map(|through| through.bytes_in);
        tunnelled.or_else(|| self.cost.sent.as_ref().map(|sent| sent.bytes()))
    }

    fn log(&self, end: StreamEnd, bill: &Bill) {
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
            bytes_in = self.bytes_in(),
            messages_in = through.map(|through| through.messages_in),
            messages_out = through.map(|through| through.messages_out),
            attempts = self.attempts,
            model = self.model.as_deref(),
            tokens_in = bill.usage.input,
            tokens_out = bill.usage.output,
            tokens_cached = bill.usage.cached,
            tokens_reasoning = bill.usage.reasoning,
            characters = bill.usage.characters,
            estimated = bill.is_estimated().then_some(true),
        );
    }
}

/// A bill as limits take it.
fn used(bill: &Bill) -> Used {
    let usage = &bill.usage;
    let [input, output, characters] = [usage.input, usage.output, usage.characters].map(Option::unwrap_or_default);
    Used { input, output, characters }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.end(StreamEnd::ClientGone);
    }
}
