//! Figures about the operator, named `relay_operator_*`. Labels are enums and kinds, never names of objects.

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::time::Duration;

/// Upper bounds in milliseconds: what a change takes from a watch event to the last proxy, up to a rollout that hangs.
const BUCKETS_MS: [f64; 14] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 250.0, 500.0, 1000.0, 5000.0, 30_000.0, 120_000.0];

/// All figures. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Reconciles by result: `written`, `unchanged`, `error`.
    pub reconciles: IntCounterVec,
    /// From the start of a reconcile to its end, writes included, in milliseconds.
    pub reconcile_ms: Histogram,
    /// Written objects by result: `ok`, `error`.
    pub apply_objects: IntCounterVec,
    /// From the start of the writes to the acknowledgement of the last ready proxy, in milliseconds.
    pub ack_ms: Histogram,
    /// Status patches by result: `ok`, `gone`, `error`.
    pub status_patches: IntCounterVec,
    /// RelayRoutes and RelayTenants by kind, condition and its status.
    pub objects: IntGaugeVec,
    /// Objects that are not served since their shard would be too large.
    pub left_out: IntGauge,
    /// 1 while this replica leads.
    pub leader: IntGauge,
    /// How often this replica stopped to lead without being asked to.
    pub leadership_lost: IntCounter,
    /// Watches that may not read any more and keep what they read before, by watch.
    pub stale_watches: IntGaugeVec,
    /// Events of watches by watch and result: `event`, `error`, `denied`.
    pub watch_events: IntCounterVec,
}

impl Metrics {
    /// Registers all figures in a registry of their own.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            reconciles: counters("reconciles_total", "Reconciles of the whole fleet by result.", &["result"])?,
            reconcile_ms: histogram("reconcile_ms", "Duration of a reconcile with its writes, in milliseconds.")?,
            apply_objects: counters("apply_objects_total", "Written configuration objects by result.", &["result"])?,
            ack_ms: histogram(
                "ack_ms",
                "From the start of a write until every ready proxy serves it, in milliseconds.",
            )?,
            status_patches: counters("status_patches_total", "Status patches by result.", &["result"])?,
            objects: IntGaugeVec::new(
                options("objects", "RelayRoutes and RelayTenants by condition."),
                &["kind", "condition", "status"],
            )?,
            left_out: IntGauge::with_opts(options(
                "left_out_objects",
                "Objects that are not served since their shard would be too large.",
            ))?,
            leader: IntGauge::with_opts(options("leader", "1 while this replica leads."))?,
            leadership_lost: IntCounter::with_opts(options(
                "leadership_lost_total",
                "Leaderships that ended unasked.",
            ))?,
            stale_watches: IntGaugeVec::new(
                options("stale_watches", "Watches that may not read any more and keep what they read before."),
                &["watch"],
            )?,
            watch_events: counters("watch_events_total", "Events of watches by result.", &["watch", "result"])?,
            registry,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(self.reconciles.clone()))?;
        self.registry.register(Box::new(self.reconcile_ms.clone()))?;
        self.registry.register(Box::new(self.apply_objects.clone()))?;
        self.registry.register(Box::new(self.ack_ms.clone()))?;
        self.registry.register(Box::new(self.status_patches.clone()))?;
        self.registry.register(Box::new(self.objects.clone()))?;
        self.registry.register(Box::new(self.left_out.clone()))?;
        self.registry.register(Box::new(self.leader.clone()))?;
        self.registry.register(Box::new(self.leadership_lost.clone()))?;
        self.registry.register(Box::new(self.stale_watches.clone()))?;
        self.registry.register(Box::new(self.watch_events.clone()))
    }

    /// All figures in the text format of Prometheus.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// A duration as histograms here take it.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("relay_operator_{name}"), help)
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(options(name, help), labels)
}

fn histogram(name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
    let options = HistogramOpts::from(options(name, help)).buckets(BUCKETS_MS.to_vec());
    Histogram::with_opts(options)
}
