//! Server-sent events as bytes (WHATWG HTML, section 9.2), well and oddly written.

use bytes::{BufMut, Bytes, BytesMut};

use super::behaviour::{Behaviour, Text};
use super::plan::{Kind, Unit};

/// One event before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) kind: Kind,
    /// The `event:` field, where the family sends one.
    pub(super) name: Option<&'static str>,
    /// The `data:` field; one line.
    pub(super) data: String,
}

impl Event {
    /// The event on the wire, with its blank line.
    pub(super) fn encode(&self, text: Text) -> Bytes {
        let end = text.line_end.unwrap_or_default().as_str();
        let mut out = BytesMut::with_capacity(self.data.len() + 128);
        let mut line = |parts: &[&str]| {
            for part in parts {
                out.put_slice(part.as_bytes());
            }
            out.put_slice(end.as_bytes());
        };
        if text.comments {
            line(&[": between events"]);
            line(&[]);
            line(&[": inside an event"]);
        }
        if let Some(name) = self.name {
            line(&["event: ", name]);
        }
        line(&["data: ", &self.data]);
        line(&[]);
        out.freeze()
    }
}

/// Writes events as the behaviour says; `count` is the number of token events among them.
pub(super) fn units<I: Iterator<Item = Event>>(
    events: I,
    count: usize,
    behaviour: &Behaviour,
) -> impl Iterator<Item = Unit> + use<I> {
    let text = behaviour.text;
    let big = behaviour.at(count).min(count.saturating_sub(1));
    let (mut tokens, mut first) = (0, true);
    events.map(move |mut event| {
        if event.kind == Kind::Token {
            if let Some(size) = text.big_event.filter(|_| tokens == big) {
                enlarge(&mut event.data, size);
            }
            tokens += 1;
        }
        let mut bytes = event.encode(text);
        if std::mem::take(&mut first) && text.bom {
            bytes = Bytes::from([b"\xEF\xBB\xBF", bytes.as_ref()].concat());
        }
        Unit { kind: event.kind, bytes }
    })
}

/// Pads a JSON object with a field that SDKs ignore; OpenAI itself pads under this name.
fn enlarge(data: &mut String, size: usize) {
    if data.ends_with('}') {
        data.pop();
        data.push_str(r#","obfuscation":""#);
        data.extend(std::iter::repeat_n('x', size));
        data.push_str("\"}");
    }
}

#[cfg(test)]
mod tests;
