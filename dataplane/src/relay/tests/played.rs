//! A stream whose upstream and client are played by the test.

use crate::drain::{Cut, Drain};
use crate::exchange::{Answered, Exchange};
use crate::format::{Format, Framing};
use crate::metrics::Metrics;
use crate::relay::stream::Stream;
use crate::relay::{Aborted, Cuts, Deadline, Guarded, Manner, Relayed};
use crate::upstream::UpstreamError;
use bytes::Bytes;
use futures::FutureExt;
use http_body::{Body, Frame};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(super) type Piece = Result<Frame<Bytes>, UpstreamError>;

/// A body that gives what the test sends, and ends when the test drops the other end.
pub(super) struct Played(mpsc::UnboundedReceiver<Piece>);

impl Body for Played {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(cx)
    }
}

/// What the test decides of a stream.
#[derive(Clone, Copy)]
pub(super) struct Play {
    pub(super) format: Format,
    pub(super) framing: Framing,
    pub(super) idle: Option<Duration>,
    pub(super) total: Option<Duration>,
    pub(super) keep_alive: Option<Duration>,
    pub(super) read_on: Option<Duration>,
    pub(super) asked_usage: bool,
}

/// A streamed chat without bounds.
pub(super) const CHAT: Play = Play {
    format: Format::OpenAIChat,
    framing: Framing::Events,
    idle: None,
    total: None,
    keep_alive: None,
    read_on: None,
    asked_usage: false,
};

/// Audio without bounds.
pub(super) const AUDIO: Play = Play { format: Format::OpenAISpeech, framing: Framing::Bytes, ..CHAT };

/// The upstream's end of a played stream, and what is counted of it.
pub(super) struct Stage {
    pub(super) upstream: Option<mpsc::UnboundedSender<Piece>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) drain: Cut,
    pub(super) tenant: Cut,
    pub(super) limit: Cut,
}

impl Play {
    fn parts(self) -> (Stage, Guarded<Played>, Manner, Exchange) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let metrics = Arc::new(Metrics::new().expect("names differ"));
        let (all, [tenant, limit]) = (Drain::default(), std::array::from_fn(|_| Cut::default()));
        let drain = all.cut.clone();
        let mut exchange =
            Exchange::begin(Arc::clone(&metrics), "id".to_owned(), http::Method::POST, "/v1/x".to_owned());
        exchange.code = Some(200);
        exchange.cost.answered = Answered::Well;
        let deadline = Deadline::after(Instant::now(), self.total);
        let source = Guarded::new(Played(receiver), self.idle, deadline, Cuts::new(&all, &tenant, Some(&limit)));
        let manner = Manner {
            asked_usage: self.asked_usage,
            format: self.format,
            framing: self.framing,
            readable: true,
            is_json: false,
            keep_alive: self.keep_alive,
            read_on: self.read_on,
        };
        (Stage { upstream: Some(sender), metrics, drain, tenant, limit }, source, manner, exchange)
    }

    pub(super) fn begin(self) -> (Stage, Relayed<Played>) {
        let (stage, source, manner, exchange) = self.parts();
        (stage, Relayed::new(source, manner, exchange))
    }

    pub(super) fn stream(self) -> (Stage, Box<Stream<Played>>) {
        let (stage, source, manner, exchange) = self.parts();
        (stage, Box::new(Stream::new(source, manner, exchange)))
    }
}

impl Stage {
    pub(super) fn say(&self, text: impl Into<Bytes>) {
        let upstream = self.upstream.as_ref().expect("the upstream still speaks");
        upstream.send(Ok(Frame::data(text.into()))).expect("the relay still listens");
    }

    pub(super) fn fail(&mut self, error: UpstreamError) {
        self.upstream.take().expect("it speaks").send(Err(error)).expect("the relay still listens");
    }

    pub(super) fn end(&mut self) {
        self.upstream = None;
    }

    /// Whether nobody listens to the upstream any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.upstream.as_ref().is_none_or(mpsc::UnboundedSender::is_closed)
    }

    /// How it ended and why, as the metrics tell it: once.
    pub(super) fn ended(&self) -> Option<(String, Option<String>)> {
        let text = self.metrics.render().expect("metrics");
        let label = |metric: &str, name: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.starts_with(&format!("{metric}{{")));
            lines
                .map(|line| {
                    assert!(line.ends_with(" 1"), "twice: {line}");
                    let rest = line.split(&format!("{name}=\"")).nth(1).expect("the label");
                    rest.split('"').next().expect("a value").to_owned()
                })
                .collect()
        };
        let (mut ends, mut reasons) = (label("relay_requests_total", "end"), label("relay_errors_total", "reason"));
        assert!(ends.len() <= 1 && reasons.len() <= 1, "{ends:?} {reasons:?}");
        ends.pop().map(|end| (end, reasons.pop()))
    }

    /// Tokens that were counted: as the provider told, and by estimate.
    pub(super) fn tokens(&self, direction: &str) -> (u64, u64) {
        let count = |estimated| {
            let labels = ["none", "none", "none", "other", direction, estimated];
            self.metrics.tokens.with_label_values(&labels).get()
        };
        (count("false"), count("true"))
    }

    pub(super) fn has_ended(&self, end: &str, reason: Option<&str>) {
        assert_eq!(self.ended(), Some((end.to_owned(), reason.map(str::to_owned))));
    }
}

/// What a played stream gives next.
pub(super) async fn next(body: &mut Relayed<Played>) -> Option<Result<Bytes, Aborted>> {
    poll_fn(|cx| body.poll(cx)).await
}

/// What it gives without waiting.
pub(super) fn now(body: &mut Relayed<Played>) -> Option<Bytes> {
    next(body).now_or_never().map(|piece| piece.expect("not the end").expect("no abort"))
}

/// Everything to the end, and whether the end is clean.
pub(super) async fn rest(body: &mut Relayed<Played>) -> (String, bool) {
    let mut all = Vec::new();
    while let Some(piece) = next(body).await {
        match piece {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(Aborted) => return (String::from_utf8_lossy(&all).into_owned(), false),
        }
    }
    (String::from_utf8_lossy(&all).into_owned(), true)
}
