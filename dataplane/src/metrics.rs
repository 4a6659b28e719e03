//! The proxy's metrics. A value that is passed down, never a global registry; label values come from configuration and enums alone.

use crate::limits::StoreCall;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector,
};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Bounds of durations up to a whole long stream, in milliseconds: 1 ms to 10 min.
const DURATION_MS: &[f64] = &[
    1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 30_000.0, 60_000.0,
    120_000.0, 300_000.0, 600_000.0,
];
/// Bounds of what the relay adds, in milliseconds.
const OVERHEAD_MS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0];
/// Bounds of store calls, in milliseconds: they are cut at 25 ms.
const STORE_MS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0];

/// Name, type and help of every metric, in the order of the documentation.
pub const TABLE: &[(&str, &str)] = &[
    ("relay_requests_total", "Requests by route, tenant, provider, status code and end."),
    ("relay_duration_ms", "Milliseconds from the request to the last byte of the answer."),
    (
        "relay_errors_total",
        "Errors by reason: refusals of the relay, failures of upstreams, error answers of providers.",
    ),
    ("relay_active_connections", "Client connections that are open."),
    ("relay_active_streams", "Answers of upstreams that are on their way to a client, WebSockets included."),
    ("relay_storage_write_ms", "Milliseconds of a write to a store, such as the limit decision in Redis."),
    (
        "relay_first_byte_ms",
        "Milliseconds from the request to the first byte of the answer's body: time to first token, to first audio. Includes up to 500 ms for which the begin of a stream is held to see whether it is an error, only where another attempt could follow.",
    ),
    (
        "relay_chunk_gap_ms",
        "Milliseconds between two pieces of an upstream's answer, JSON texts left out; counted when the answer is over.",
    ),
    (
        "relay_overhead_ms",
        "Milliseconds that the relay itself adds before the first byte: from the request's head to its first attempt, without waits for its body, and from \
         the answer's first byte to its head for the client.",
    ),
    ("relay_retries_total", "Further attempts at a request before its first byte, by why."),
    (
        "relay_upstream_healthy",
        "1 for a backend that takes requests, 0 for one that failed too often and is only probed.",
    ),
    ("relay_characters_total", "Characters that were made speech, as the provider bills them."),
    (
        "relay_tokens_total",
        "Tokens of prompts (input) and answers (output), and those among them from a cache (cached) and of thoughts (reasoning); estimated where the provider did not tell.",
    ),
    ("relay_bytes_total", "Bytes of request bodies that went up (in), and of answers to clients (out)."),
    ("relay_limit_decisions_total", "Decisions of limits, by whether Redis or the proxy alone decided."),
    (
        "relay_limit_remaining",
        "What is left of a limit, as this proxy was told last and has come back since; of a budget, of its window.",
    ),
    ("relay_limits_mode", "1 for how limits are kept now: shared, local, or none (there is no Redis)."),
    (
        "relay_limit_settles_total",
        "Requests whose use was settled: with all proxies, with this one's share, too late, or not at all.",
    ),
    ("relay_redis_ms", "Milliseconds that a request waited for its decision by Redis."),
    ("relay_config_revision_info", "1 for the revision that this proxy serves."),
    ("relay_config_age_seconds", "Seconds since this proxy took the configuration that it serves; 0 before the first."),
    ("relay_config_reloads_total", "Configurations received, by what became of them."),
    ("relay_tls_reloads_total", "Changes of the certificate that clients see, by whether they were taken or refused."),
    ("relay_build_info", "1 for the version of this build."),
];

/// All metrics of a proxy.
pub struct Metrics {
    registry: Registry,
    /// `relay_requests_total`.
    pub requests: IntCounterVec,
    /// `relay_duration_ms`.
    pub duration_ms: HistogramVec,
    /// `relay_errors_total`.
    pub errors: IntCounterVec,
    /// `relay_active_connections`.
    pub active_connections: IntGauge,
    /// `relay_active_streams`.
    pub active_streams: IntGaugeVec,
    /// `relay_storage_write_ms`.
    pub storage_write_ms: HistogramVec,
    /// `relay_first_byte_ms`.
    pub first_byte_ms: HistogramVec,
    /// `relay_chunk_gap_ms`.
    pub chunk_gap_ms: HistogramVec,
    /// `relay_overhead_ms`.
    pub overhead_ms: HistogramVec,
    /// `relay_retries_total`.
    pub retries: IntCounterVec,
    /// `relay_upstream_healthy`.
    pub upstream_healthy: IntGaugeVec,
    /// `relay_characters_total`.
    pub characters: IntCounterVec,
    /// `relay_tokens_total`.
    pub tokens: IntCounterVec,
    /// `relay_bytes_total{direction="in"}`.
    pub bytes_in: IntCounter,
    /// `relay_bytes_total{direction="out"}`.
    pub bytes_out: IntCounter,
    /// `relay_limit_decisions_total`.
    pub limit_decisions: IntCounterVec,
    /// `relay_limit_remaining`.
    pub limit_remaining: IntGaugeVec,
    /// `relay_limits_mode`.
    pub limits_mode: IntGaugeVec,
    /// `relay_limit_settles_total`.
    pub limit_settles: IntCounterVec,
    /// `relay_redis_ms`.
    pub redis_ms: HistogramVec,
    /// `relay_config_revision_info`.
    pub revision_info: IntGaugeVec,
    config_age: IntGauge,
    /// When the configuration was taken that is served.
    configured: Mutex<Option<Instant>>,
    /// `relay_config_reloads_total`.
    pub reloads: IntCounterVec,
    /// `relay_tls_reloads_total`.
    pub tls_reloads: IntCounterVec,
}

fn help(name: &str) -> &'static str {
    TABLE.iter().find(|(known, _)| *known == name).map_or("", |(_, help)| help)
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(registry: &Registry, name: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(Opts::new(name, help(name)), labels)?)
}

fn gauge(registry: &Registry, name: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    register(registry, IntGaugeVec::new(Opts::new(name, help(name)), labels)?)
}

fn histogram(registry: &Registry, name: &str, labels: &[&str], buckets: &[f64]) -> prometheus::Result<HistogramVec> {
    register(registry, HistogramVec::new(HistogramOpts::new(name, help(name)).buckets(buckets.to_vec()), labels)?)
}

impl Metrics {
    /// Makes and registers all of them. Fails only if two had one name.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let bytes = counter(r, "relay_bytes_total", &["direction"])?;
        let metrics = Self {
            requests: counter(r, "relay_requests_total", &["route", "tenant", "provider", "code", "end"])?,
            duration_ms: histogram(r, "relay_duration_ms", &["route", "provider", "kind"], DURATION_MS)?,
            errors: counter(r, "relay_errors_total", &["route", "provider", "reason"])?,
            active_connections: register(
                r,
                IntGauge::new("relay_active_connections", help("relay_active_connections"))?,
            )?,
            active_streams: gauge(r, "relay_active_streams", &["route"])?,
            storage_write_ms: histogram(r, "relay_storage_write_ms", &["store", "result"], STORE_MS)?,
            first_byte_ms: histogram(r, "relay_first_byte_ms", &["route", "provider", "kind"], DURATION_MS)?,
            chunk_gap_ms: histogram(r, "relay_chunk_gap_ms", &["route"], DURATION_MS)?,
            overhead_ms: histogram(r, "relay_overhead_ms", &["route"], OVERHEAD_MS)?,
            retries: counter(r, "relay_retries_total", &["route", "reason"])?,
            upstream_healthy: gauge(r, "relay_upstream_healthy", &["route", "backend"])?,
            characters: counter(r, "relay_characters_total", &["route", "tenant", "provider"])?,
            tokens: counter(
                r,
                "relay_tokens_total",
                &["route", "tenant", "provider", "model", "direction", "estimated"],
            )?,
            bytes_in: bytes.with_label_values(&["in"]),
            bytes_out: bytes.with_label_values(&["out"]),
            limit_decisions: counter(r, "relay_limit_decisions_total", &["tenant", "limit", "decision", "mode"])?,
            limit_remaining: gauge(r, "relay_limit_remaining", &["tenant", "route", "limit"])?,
            limits_mode: gauge(r, "relay_limits_mode", &["mode"])?,
            limit_settles: counter(r, "relay_limit_settles_total", &["result"])?,
            redis_ms: histogram(r, "relay_redis_ms", &["result"], STORE_MS)?,
            revision_info: gauge(r, "relay_config_revision_info", &["revision"])?,
            config_age: register(r, IntGauge::new("relay_config_age_seconds", help("relay_config_age_seconds"))?)?,
            configured: Mutex::default(),
            reloads: counter(r, "relay_config_reloads_total", &["result"])?,
            tls_reloads: counter(r, "relay_tls_reloads_total", &["result"])?,
            registry: registry.clone(),
        };
        gauge(r, "relay_build_info", &["version"])?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(metrics)
    }

    /// Redis decided on a request, or did not.
    pub fn decided(&self, call: &StoreCall) {
        let (result, took) = (call.result.label(), millis(call.elapsed));
        self.redis_ms.with_label_values(&[result]).observe(took);
        self.storage_write_ms.with_label_values(&["redis", result]).observe(took);
    }

    /// The proxy serves this revision from now on.
    pub fn serves(&self, revision: &str) {
        *self.configured.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.revision_info.reset();
        self.revision_info.with_label_values(&[revision]).set(1);
    }

    /// The text of `/metrics` (Prometheus exposition format 0.0.4).
    pub fn render(&self) -> prometheus::Result<String> {
        let configured = *self.configured.lock().unwrap_or_else(PoisonError::into_inner);
        let age = configured.map_or(0, |taken| taken.elapsed().as_secs());
        self.config_age.set(i64::try_from(age).unwrap_or(i64::MAX));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// A duration in milliseconds to the third place, as people read it.
pub fn whole_micros(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A duration in milliseconds, as histograms take it.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
