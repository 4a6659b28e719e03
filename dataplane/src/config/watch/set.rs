//! From an index to a verified set.

use super::fetch::{Fetcher, Round, Text};
use crate::config::{Outcome, Sink, Source, Update};
use futures::future::BoxFuture;
use relay_snapshot::shards::{assemble, names};
use relay_snapshot::{AssembleError, Index};
use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

/// The first pause before shards that do not fit are asked for again.
const RETRY_MIN: Duration = Duration::from_millis(10);
/// The longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A race with the writer is over after this many attempts, 310 ms; then it is said and counted.
const RACE_ATTEMPTS: u32 = 5;

/// The newest index, the shards that are held, and what is being done to bring them together.
pub(super) struct Set {
    fetcher: Fetcher,
    sink: Sink,
    /// By name. A held text may be newer than the index: it then fits the next one.
    held: BTreeMap<String, Text>,
    /// The newest index, until its set is taken or refused for good.
    wanted: Option<Index>,
    attempt: u32,
    work: Work,
}

enum Work {
    Idle,
    /// Gets are under way. They are never cut short by a newer index, so that a fast writer can't starve the reader.
    Asking {
        round: BoxFuture<'static, Round>,
        /// Of the index that they are for.
        sequence: u64,
    },
    /// Until then.
    Waiting(Instant),
}

impl Set {
    pub(super) fn new(fetcher: Fetcher, sink: Sink) -> Self {
        Self { fetcher, sink, held: BTreeMap::new(), wanted: None, attempt: 0, work: Work::Idle }
    }

    /// Takes note of a new index. A text that is no index, or that asks for a newer reader, is refused at once.
    pub(super) fn want(&mut self, text: &str) {
        match Index::parse(text) {
            Ok(index) => {
                debug!(revision = index.revision, sequence = index.sequence, "index seen");
                (self.wanted, self.attempt) = (Some(index), 0);
                if !self.is_asking() {
                    self.advance();
                }
            }
            Err(error) => {
                self.sink.reject(Source::Watch, Outcome::from(&error), &error);
                self.wanted = None;
                if !self.is_asking() {
                    self.work = Work::Idle;
                }
            }
        }
    }

    /// True while nothing is under way and nothing is waited for.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.work, Work::Idle)
    }

    /// True while gets are under way.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.work, Work::Asking { .. })
    }

    /// Waits for the next thing to happen and does it; forever when there is nothing to do. Cancel-safe.
    pub(super) async fn step(&mut self) {
        match &mut self.work {
            Work::Idle => pending().await,
            Work::Waiting(until) => {
                sleep_until(*until).await;
                self.advance();
            }
            Work::Asking { round, sequence } => {
                let (round, sequence) = (round.await, *sequence);
                self.work = Work::Idle;
                self.arrived(round, sequence);
            }
        }
    }

    /// Takes the wanted set if all of it is held; else asks for the rest.
    fn advance(&mut self) {
        self.work = Work::Idle;
        let Some(index) = &self.wanted else { return };
        let names: Vec<String> = names().filter(|name| !fits(index, &self.held, name)).collect();
        if names.is_empty() {
            self.take();
        } else {
            self.work = Work::Asking { round: self.fetcher.get_all(names), sequence: index.sequence };
        }
    }

    fn arrived(&mut self, round: Round, sequence: u64) {
        // Of many failures the one with the first name stands for all: the same outage is then the same text.
        let mut failures = BTreeMap::new();
        for (name, got) in round {
            match got {
                Ok(text) => _ = self.held.insert(name, text),
                Err(error) => _ = failures.insert(name, error),
            }
        }
        let Some(index) = &self.wanted else { return };
        let other = names().find(|name| !fits(index, &self.held, name));
        // A newer index came meanwhile: what was just read may be all it needs, and failures of the old one do not count.
        if other.is_none() || index.sequence != sequence {
            return self.advance();
        }
        self.attempt += 1;
        let (outcome, text) = match (failures.first_key_value(), other) {
            (Some((_, error)), _) => (error.outcome(), error.to_string()),
            (None, other) => {
                let error = AssembleError::Mismatch { name: other.unwrap_or_default() };
                ((&error).into(), error.to_string())
            }
        };
        if self.attempt >= RACE_ATTEMPTS {
            self.sink.reject(Source::Watch, outcome, &text);
        } else {
            debug!(attempt = self.attempt, "{text}");
        }
        let pause = RETRY_MIN.saturating_mul(1 << (self.attempt - 1).min(16)).min(RETRY_MAX);
        self.work = Work::Waiting(Instant::now() + pause);
    }

    fn take(&mut self) {
        let Some(index) = self.wanted.take() else { return };
        match assemble(&index, |name| self.held.get(name).map(|text| text.text.as_str())) {
            Ok(snapshot) => {
                let update = Update { snapshot, revision: index.revision, sequence: index.sequence };
                self.sink.offer(Source::Watch, update);
            }
            // Asking again would give the same texts.
            Err(error) => self.sink.reject(Source::Watch, Outcome::from(&error), &error),
        }
    }
}

/// True when the index does not need `name`, or when its text is held.
fn fits(index: &Index, held: &BTreeMap<String, Text>, name: &str) -> bool {
    index.shards.get(name).is_none_or(|hash| held.get(name).is_some_and(|text| text.hash == *hash))
}
