//! A proxy with its listener, as a whole, in front of fake providers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use relay_dataplane::drain::Drain;
use relay_dataplane::limits::{Estimate, Limiter, TenantPlan, Used, Verdict};
use relay_dataplane::listener::{self, Options};
use relay_dataplane::metrics::Metrics;
use relay_dataplane::proxy::Proxy;
use relay_dataplane::serving::Serving;
use relay_dataplane::table::Table;
use relay_dataplane::upstream::{Connector, ConnectorOptions, Upstreams};
use relay_e2e::provider::{Config, Provider, Recorded};
use relay_snapshot::{Snapshot, Tenant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::{self, KEY};
use crate::raw::{Answer, Client, LIMIT};

/// A running proxy.
pub(crate) struct House {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) addr: SocketAddr,
    pub(crate) accepting: JoinHandle<()>,
}

/// A sample of a metric: its labels and its value.
pub(crate) type Sample = (BTreeMap<String, String>, u64);

impl House {
    /// Serves this configuration.
    pub(crate) async fn new(snapshot: &Snapshot) -> Self {
        Self::with(snapshot, Options::default()).await
    }

    /// Serves this configuration to clients with these bounds.
    pub(crate) async fn with(snapshot: &Snapshot, options: Options) -> Self {
        // The providers of these tests listen on this machine.
        let loopback = vec!["127.0.0.0/8".parse().expect("a range")];
        Self::started(snapshot, ConnectorOptions { allow: loopback, ..ConnectorOptions::default() }, options).await
    }

    /// Serves this configuration under limits that are kept there.
    pub(crate) async fn limited(snapshot: &Snapshot, limiter: Limiter) -> Self {
        let loopback = vec!["127.0.0.0/8".parse().expect("a range")];
        let connector = ConnectorOptions { allow: loopback, ..ConnectorOptions::default() };
        Self::whole(snapshot, limiter, connector, Options::default()).await
    }

    /// Serves this configuration, and connects to upstreams so.
    pub(crate) async fn connecting(snapshot: &Snapshot, connector: ConnectorOptions) -> Self {
        Self::started(snapshot, connector, Options::default()).await
    }

    async fn started(snapshot: &Snapshot, connector: ConnectorOptions, options: Options) -> Self {
        Self::whole(snapshot, Limiter::memory(), connector, options).await
    }

    async fn whole(snapshot: &Snapshot, limiter: Limiter, connector: ConnectorOptions, options: Options) -> Self {
        let serving = Arc::new(Serving::default());
        serving.swap(Table::new(snapshot, "aaaaaaaaaaaa"), 1);
        let proxy = Arc::new(Proxy {
            serving,
            limiter: Arc::new(limiter),
            upstreams: Arc::new(Upstreams::new(Connector::new(connector))),
            metrics: Arc::new(Metrics::new().expect("names differ")),
            drain: Drain::default(),
        });
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let addr = socket.local_addr().expect("an address");
        let accepting = tokio::spawn(listener::run_with(socket, Arc::clone(&proxy), options));
        Self { proxy, addr, accepting }
    }

    /// One tenant, one provider, and a route for each API.
    pub(crate) async fn simple() -> (Self, Provider) {
        let provider = provider().await;
        (Self::new(&config::simple(provider.addr())).await, provider)
    }

    /// Serves another configuration from now on.
    pub(crate) fn swap(&self, snapshot: &Snapshot, revision: &str) {
        self.proxy.serving.swap(Table::new(snapshot, revision), 2);
    }

    /// Sends a request with the tenant's key, and leaves the answer in the socket.
    pub(crate) async fn open(&self, path: &str, body: &str) -> Client {
        Client::request(self.addr, "POST", path, &headers(KEY), body.as_bytes()).await
    }

    /// Sends a request with the tenant's key.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.open(path, body).await.answer().await
    }

    /// Streams a chat.
    pub(crate) async fn chat(&self, model: &str) -> Answer {
        self.post(CHAT, &chat(model)).await
    }

    /// Streams a message.
    pub(crate) async fn message(&self, model: &str) -> Answer {
        self.post(MESSAGES, &message(model)).await
    }

    /// All samples of a counter that are not 0.
    pub(crate) fn samples(&self, metric: &str) -> Vec<Sample> {
        let text = self.proxy.metrics.render().expect("metrics");
        let lines = text.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{')?.split_once("} "));
        let label = |part: &str| {
            part.split_once("=\"").map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
        };
        lines
            .map(|(labels, value)| (labels.split(',').filter_map(label).collect(), value.parse().expect("a count")))
            .filter(|(_, value)| *value > 0)
            .collect()
    }

    /// How all requests ended, `code end reason`, in order; when they are `count` and no client is connected any more, so that none can follow.
    pub(crate) async fn ends(&self, count: usize) -> Vec<String> {
        let requests = || self.samples("relay_requests_total");
        let counted = || requests().iter().map(|(_, value)| *value).sum::<u64>() >= count as u64;
        eventually("every request ends", || counted() && self.proxy.metrics.active_connections.get() == 0).await;
        let mut ends: Vec<String> = requests()
            .into_iter()
            .flat_map(|(labels, value)| {
                vec![format!("{} {}", labels["code"], labels["end"]); usize::try_from(value).expect("few")]
            })
            .collect();
        ends.sort();
        ends
    }

    /// The one request ended so, with this reason in `relay_errors_total` or none.
    pub(crate) async fn ended(&self, code: u16, end: &str, reason: Option<&str>) {
        assert_eq!(self.ends(1).await, [format!("{code} {end}")]);
        assert_eq!(self.reasons(), reason.map(|reason| vec![reason.to_owned()]).unwrap_or_default());
    }

    /// Why requests were sent once more, in order.
    pub(crate) fn retries(&self) -> Vec<String> {
        self.samples("relay_retries_total")
            .into_iter()
            .flat_map(|(labels, value)| vec![labels["reason"].clone(); usize::try_from(value).expect("few")])
            .collect()
    }

    /// The reasons of all errors.
    pub(crate) fn reasons(&self) -> Vec<String> {
        self.samples("relay_errors_total")
            .into_iter()
            .flat_map(|(labels, value)| vec![labels["reason"].clone(); usize::try_from(value).expect("few")])
            .collect()
    }
}

/// Another request of this tenant, of which nothing is seen, uses so many tokens.
pub(crate) async fn spend(house: &House, tenant: &Tenant, tokens: u64) {
    let decision = house.proxy.limiter.admit(&TenantPlan::new(tenant), None, Estimate::default()).await;
    let reservation = match decision.verdict {
        Verdict::Admitted(reservation) => reservation,
        Verdict::Refused { .. } | Verdict::Unavailable => None,
    };
    let reservation = reservation.expect("something is reserved");
    reservation.progress(Used { output: tokens, ..Used::default() });
    reservation.settle(Used { output: tokens, ..Used::default() });
}

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";
pub(crate) const SPEECH: &str = "/v1/audio/speech";

/// The headers of a client, but for the framing.
pub(crate) fn headers(key: &str) -> String {
    format!("authorization: Bearer {key}\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n")
}

/// The body of a streamed chat request.
pub(crate) fn chat(model: &str) -> String {
    format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"one two three"}}]}}"#)
}

/// The body of a streamed message request.
pub(crate) fn message(model: &str) -> String {
    let rest = r#""max_tokens":1000,"stream":true,"messages":[{"role":"user","content":"one two three"}]"#;
    format!(r#"{{"model":"{model}",{rest}}}"#)
}

/// The body of a request for audio.
pub(crate) fn speech(model: &str) -> String {
    format!(r#"{{"model":"{model}","input":"Hello.","voice":"alloy","response_format":"pcm"}}"#)
}

/// The same request with a whole JSON answer.
pub(crate) fn not_streamed(body: &str) -> String {
    body.replace("\"stream\":true", "\"stream\":false")
}

/// A provider with its defaults.
pub(crate) async fn provider() -> Provider {
    named("p").await
}

/// A provider that says who it is.
pub(crate) async fn named(identity: &str) -> Provider {
    Provider::start(Config { identity: Some(identity.to_owned()), ..Config::default() }).await.expect("a free port")
}

/// Waits for a condition of the provider's log, but not for ever.
pub(crate) async fn wait_for(provider: &Provider, holds: impl FnMut(&[Recorded]) -> bool) -> Vec<Recorded> {
    timeout(LIMIT, provider.wait_for(holds)).await.expect("the condition comes true")
}

/// Waits for a condition that tells nobody when it changes, by looking again whenever other tasks had a turn.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let look = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(LIMIT, look).await.is_ok(), "not so: {what}");
}
