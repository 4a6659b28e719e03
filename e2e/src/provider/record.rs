//! What the provider received and how each answer ended, for tests to look at.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Version};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

/// Requests kept; older ones are forgotten.
pub const MAX_REQUESTS: usize = 10_000;
/// Headers and body texts kept, in bytes over all requests; older requests are forgotten.
pub const MAX_WEIGHT: usize = 64 << 20;
/// Body text kept of one request, in bytes.
pub const MAX_TEXT: usize = 64 << 10;

/// A request as it arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Received {
    /// Number of the request, from 1, in the order in which heads arrived; never given twice, `DELETE` included.
    pub n: u64,
    /// Method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
    /// `h1` or `h2`.
    pub protocol: String,
    /// Name and value of every header in the order of arrival (values of one name together), credentials included.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// SHA-256 of the whole body, lower-case hex.
    pub body_sha256: String,
    /// The first [`MAX_TEXT`] bytes of the body; what is not UTF-8 is replaced.
    pub body_text: String,
    /// The model, or the voice in Azure Speech; none when the request names none.
    pub model: Option<String>,
    /// When the head had arrived, in Unix milliseconds.
    pub started_ms: u64,
}

impl Received {
    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn weight(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + self.body_text.len() + 512
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The last byte was handed to the HTTP layer, and its framing was ended.
    Complete,
    /// The client went away, or its HTTP/2 stream did, before that.
    ClientGone,
    /// The provider itself broke off, as the model name told it to.
    Aborted,
}

/// What became of a request so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Status of the answer, once there is one.
    pub status: Option<u16>,
    /// When the response head was handed to the HTTP layer, in Unix milliseconds.
    pub head_ms: Option<u64>,
    /// When the first body bytes were, in Unix milliseconds.
    pub first_byte_ms: Option<u64>,
    /// When the latest body bytes were, in Unix milliseconds.
    pub last_byte_ms: Option<u64>,
    /// When it ended, for `client_gone` when that was noticed, in Unix milliseconds.
    pub ended_ms: Option<u64>,
    /// How it ended; none while it runs.
    pub ended: Option<Ended>,
    /// Body bytes handed to the HTTP layer.
    pub bytes_sent: u64,
    /// In how many pieces.
    pub chunks_sent: u64,
    /// The pieces themselves, of the first [`Config::keep`](super::Config::keep) bytes; not told over HTTP.
    #[serde(skip)]
    pub sent: Vec<Bytes>,
}

impl Outcome {
    /// The bytes kept, in one piece.
    pub fn body(&self) -> Vec<u8> {
        self.sent.concat()
    }
}

/// One request and its outcome at the time of asking.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    /// What arrived.
    #[serde(flatten)]
    pub request: Arc<Received>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Debug)]
struct Entry {
    received: Arc<Received>,
    outcome: Mutex<Outcome>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Arc<Entry>>,
    weight: usize,
}

/// The bounded log of requests.
#[derive(Debug)]
pub(super) struct Log {
    ring: Mutex<Ring>,
    numbers: Mutex<u64>,
    live: AtomicUsize,
    changes: watch::Sender<u64>,
    origin: (SystemTime, Instant),
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            ring: Mutex::default(),
            numbers: Mutex::new(0),
            live: AtomicUsize::new(0),
            changes: watch::Sender::new(0),
            origin: (SystemTime::now(), Instant::now()),
        }
    }

    /// Unix milliseconds; moves with tokio's clock, so that a paused test sees its own time.
    pub(super) fn now_ms(&self) -> u64 {
        let now = self.origin.0 + self.origin.1.elapsed();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The number of the next request.
    pub(super) fn number(&self) -> u64 {
        let mut last = lock(&self.numbers);
        *last += 1;
        *last
    }

    /// Notes a request; it is live until the exchange ends or is dropped.
    pub(super) fn begin(self: &Arc<Self>, received: Received) -> Exchange {
        let weight = received.weight();
        let entry = Arc::new(Entry { received: Arc::new(received), outcome: Mutex::default() });
        {
            let mut ring = lock(&self.ring);
            ring.entries.push_back(entry.clone());
            ring.weight += weight;
            while ring.entries.len() > MAX_REQUESTS || ring.weight > MAX_WEIGHT {
                let Some(oldest) = ring.entries.pop_front() else { break };
                ring.weight -= oldest.received.weight();
            }
        }
        self.live.fetch_add(1, Ordering::Relaxed);
        self.changed();
        Exchange { log: self.clone(), entry, over: false }
    }

    /// Requests with a number above `after`, oldest first.
    pub(super) fn requests(&self, after: u64) -> Vec<Recorded> {
        let entries: Vec<_> = lock(&self.ring).entries.iter().filter(|e| e.received.n > after).cloned().collect();
        entries
            .into_iter()
            .map(|entry| Recorded { request: entry.received.clone(), outcome: lock(&entry.outcome).clone() })
            .collect()
    }

    /// Forgets all requests; those still running go on.
    pub(super) fn clear(&self) {
        *lock(&self.ring) = Ring::default();
        self.changed();
    }

    /// Answers that have not ended.
    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Wakes after every change of the log.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        if self.changes.receiver_count() > 0 {
            self.changes.send_modify(|count| *count += 1);
        }
    }
}

/// One request being answered. Dropping it before its end means that the client went away: hyper drops the
/// answer when the connection or the stream dies, and never otherwise.
#[derive(Debug)]
pub(super) struct Exchange {
    log: Arc<Log>,
    entry: Arc<Entry>,
    over: bool,
}

impl Exchange {
    pub(super) fn head(&self, status: u16) {
        self.note(|outcome, now| {
            outcome.status = Some(status);
            outcome.head_ms = Some(now);
        });
    }

    /// Keeps what is about to be sent, while less than `most` bytes were.
    pub(super) fn keep(&self, bytes: &Bytes, most: usize) {
        let mut outcome = lock(&self.entry.outcome);
        if outcome.bytes_sent < most as u64 {
            outcome.sent.push(bytes.clone());
        }
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.note(|outcome, now| {
            outcome.first_byte_ms.get_or_insert(now);
            outcome.last_byte_ms = Some(now);
            outcome.bytes_sent += bytes as u64;
            outcome.chunks_sent += 1;
        });
    }

    pub(super) fn end(&mut self, ended: Ended) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.log.live.fetch_sub(1, Ordering::Relaxed);
        self.note(|outcome, now| {
            outcome.ended = Some(ended);
            outcome.ended_ms = Some(now);
        });
        let (received, outcome) = (&self.entry.received, lock(&self.entry.outcome));
        tracing::debug!(
            n = received.n,
            method = received.method,
            path = received.path,
            model = received.model,
            status = outcome.status,
            bytes = outcome.bytes_sent,
            ended = ?ended,
            "request"
        );
    }

    fn note(&self, change: impl FnOnce(&mut Outcome, u64)) {
        change(&mut lock(&self.entry.outcome), self.log.now_ms());
        self.log.changed();
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.end(Ended::ClientGone);
    }
}

/// Headers as the log keeps them.
pub(super) fn header_list(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

/// The beginning of a body as text.
pub(super) fn body_text(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(MAX_TEXT)]).into_owned()
}

/// `h1` or `h2`.
pub(super) fn protocol(version: Version) -> &'static str {
    if version == Version::HTTP_2 { "h2" } else { "h1" }
}

/// A test that panicked while it held the lock leaves nothing half done behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
