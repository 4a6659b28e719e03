//! An answer before it is played: head, steps, length.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, IntoHeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use super::behaviour::{Behaviour, Fault};
use super::plan::{InBand, Kind, Plan, Step, Steps, Unit};
use super::sse::{self, Event};
use super::writes::dress;

/// An answer. `delay` passes before its head.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) steps: Steps,
    /// The content-length; none is chunked.
    pub(super) length: Option<u64>,
    pub(super) delay: Duration,
}

impl Reply {
    /// A whole body at once.
    pub(super) fn whole(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let mut headers = HeaderMap::new();
        set(&mut headers, CONTENT_TYPE, content_type);
        Self {
            status,
            headers,
            length: Some(body.len() as u64),
            steps: Box::new(std::iter::once(Step::Send(body))),
            delay: Duration::ZERO,
        }
    }

    /// JSON at once.
    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        Self::whole(status, "application/json", value.to_string())
    }

    /// An event stream of `count` token events among `events`.
    pub(super) fn events(
        events: impl Iterator<Item = Event> + Send + 'static,
        count: usize,
        played: &Played,
        in_band: InBand,
    ) -> Self {
        let units = sse::units(events, count, &played.behaviour);
        Self::units("text/event-stream; charset=utf-8", units, count, played, in_band)
    }

    /// Units of another media type: `count` of them are tokens.
    pub(super) fn units(
        content_type: &str,
        units: impl Iterator<Item = Unit> + Send + 'static,
        count: usize,
        played: &Played,
        in_band: InBand,
    ) -> Self {
        if played.behaviour.fault == Some(Fault::ShortLength) {
            let units: Vec<Unit> = units.collect();
            let length = units.iter().map(|unit| unit.bytes.len() as u64).sum();
            let plan = Plan::new(units.into_iter(), count, &played.behaviour, played.gap, in_band);
            let mut reply = Self::streamed(content_type, plan, played);
            reply.length = Some(length).filter(|_| reply.length_holds(&played.behaviour));
            return reply;
        }
        let plan = Plan::new(units, count, &played.behaviour, played.gap, in_band);
        Self::streamed(content_type, plan, played)
    }

    /// Audio in pieces: chunked, or all announced in `length`.
    pub(super) fn pieces(
        content_type: &str,
        pieces: impl Iterator<Item = Bytes> + Send + 'static,
        count: usize,
        length: Option<u64>,
        played: &Played,
    ) -> Self {
        let units = pieces.map(|bytes| Unit { kind: Kind::Token, bytes });
        let mut reply = Self::units(content_type, units, count, played, InBand::default());
        reply.length = reply.length.or(length).filter(|_| reply.length_holds(&played.behaviour));
        reply
    }

    /// A JSON answer made of `tokens` tokens: it comes when the last of them would have.
    pub(super) fn generated(value: &Value, tokens: usize, played: &Played) -> Self {
        let body = Bytes::from(value.to_string());
        let length = body.len() as u64;
        let mut behaviour = played.behaviour.clone();
        // One unit: it cannot end before itself, so it ends inside.
        if behaviour.fault == Some(Fault::Truncated) {
            behaviour.fault = Some(Fault::HalfEvent);
        }
        behaviour.at = Some(0);
        let units = std::iter::once(Unit { kind: Kind::Token, bytes: body });
        let plan = Plan::new(units, 1, &behaviour, Duration::ZERO, InBand::default());
        let mut reply = Self::streamed("application/json", plan, played);
        reply.length = Some(length).filter(|_| reply.length_holds(&behaviour));
        let gaps = u32::try_from(tokens.saturating_sub(1)).unwrap_or(u32::MAX);
        reply.delay += played.gap.saturating_mul(gaps);
        reply
    }

    fn streamed(content_type: &str, plan: impl Iterator<Item = Step> + Send + 'static, played: &Played) -> Self {
        let mut headers = HeaderMap::new();
        set(&mut headers, CONTENT_TYPE, content_type);
        if played.behaviour.writes.gzip {
            set(&mut headers, CONTENT_ENCODING, "gzip");
        }
        Self {
            status: StatusCode::OK,
            headers,
            steps: dress(plan, played.behaviour.writes),
            length: None,
            delay: played.behaviour.slow_first,
        }
    }

    /// A clean early end and a content-length exclude each other, as do compression and the plain length. A cut
    /// behind the last byte needs chunks: with a length the answer is over by then; and so does a broken one.
    fn length_holds(&self, behaviour: &Behaviour) -> bool {
        let early = matches!(
            behaviour.fault,
            Some(Fault::Truncated | Fault::HalfEvent | Fault::CutAfterDone | Fault::BadChunk)
        );
        !early && !self.headers.contains_key(CONTENT_ENCODING)
    }

    /// With more headers.
    pub(super) fn with(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Later by so much.
    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A behaviour with the provider's defaults filled in.
#[derive(Debug, Clone)]
pub(super) struct Played {
    pub(super) behaviour: Behaviour,
    pub(super) tokens: usize,
    pub(super) gap: Duration,
}

/// Sets a header; a value that cannot be one is left out.
pub(super) fn set(headers: &mut HeaderMap, name: impl IntoHeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
