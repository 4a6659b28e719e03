//! The one door to what is served: newer sets pass, all others are counted.

use relay_snapshot::{AssembleError, Snapshot};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::{debug, info, warn};

/// A set that a source has read and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// What to serve.
    pub snapshot: Snapshot,
    /// Digest of the content, 12 hex digits.
    pub revision: String,
    /// The writer's count; a higher one is newer.
    pub sequence: u64,
}

/// Who found a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Source {
    Mount,
    Watch,
    Manifests,
}

impl Source {
    /// The name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mount => "mounted volume",
            Self::Watch => "API server",
            Self::Manifests => "manifests",
        }
    }
}

/// What became of a set that a source found; the label `result` of `relay_config_reloads_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Taken: it is served now.
    Accepted,
    /// The same sequence as what is served. Both sources see every set, so that this is the common case.
    Unchanged,
    /// A lower sequence than what is served. The kubelet is slower than the watch, so that this is common for the mounted volume.
    Stale,
    /// The set asks for a newer proxy.
    TooNew,
    /// An object of the set is not there.
    Missing,
    /// An object is of another set than the index.
    Mismatch,
    /// A text is not what it should be.
    Unreadable,
    /// The place that holds the set did not answer.
    Unavailable,
    /// Manifests with errors.
    Invalid,
}

impl Outcome {
    /// All of them, in the order of [`Sink::stats`].
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Unchanged,
        Self::Stale,
        Self::TooNew,
        Self::Missing,
        Self::Mismatch,
        Self::Unreadable,
        Self::Unavailable,
        Self::Invalid,
    ];

    /// The label value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::TooNew => "too_new",
            Self::Missing => "missing",
            Self::Mismatch => "mismatch",
            Self::Unreadable => "unreadable",
            Self::Unavailable => "unavailable",
            Self::Invalid => "invalid",
        }
    }
}

impl From<&AssembleError> for Outcome {
    fn from(error: &AssembleError) -> Self {
        match error {
            AssembleError::TooNew { .. } => Self::TooNew,
            AssembleError::Missing { .. } => Self::Missing,
            AssembleError::Mismatch { .. } => Self::Mismatch,
            AssembleError::Unreadable { .. } => Self::Unreadable,
        }
    }
}

/// How many distinct complaints are remembered between two accepted sets; beyond, the log may repeat itself.
const COMPLAINTS_MAX: usize = 64;

/// Takes the sets of all sources. Clones share one state.
#[derive(Clone)]
pub struct Sink {
    shared: Arc<Shared>,
}

struct Shared {
    apply: Arc<dyn Fn(Update) + Send + Sync>,
    state: Mutex<State>,
    counts: [AtomicU64; Outcome::ALL.len()],
}

#[derive(Default)]
struct State {
    /// Of the set that is served; `None` before the first.
    sequence: Option<u64>,
    revision: String,
    /// What was said since the last accepted set.
    complaints: BTreeSet<String>,
}

/// The rule: never backwards, and not twice.
const fn decide(held: Option<u64>, offered: u64) -> Outcome {
    match held {
        Some(held) if offered == held => Outcome::Unchanged,
        Some(held) if offered < held => Outcome::Stale,
        _ => Outcome::Accepted,
    }
}

impl Sink {
    /// `apply` is called with each accepted set, in the order of their sequences and never twice at once. It must be quick and must not
    /// call the sink.
    pub fn new(apply: Arc<dyn Fn(Update) + Send + Sync>) -> Self {
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        Self { shared: Arc::new(Shared { apply, state: Mutex::new(State::default()), counts }) }
    }

    /// Takes the set if it is newer than what is served.
    pub fn offer(&self, source: Source, update: Update) -> Outcome {
        let mut state = self.state();
        let outcome = decide(state.sequence, update.sequence);
        self.count(outcome);
        let (sequence, revision) = (update.sequence, update.revision.clone());
        match outcome {
            Outcome::Accepted => {
                (self.shared.apply)(update);
                *state =
                    State { sequence: Some(sequence), revision: revision.clone(), complaints: BTreeSet::default() };
                info!(source = source.name(), %revision, sequence, "configuration taken");
            }
            // A folder that was put back as it was: its next fault is a new one.
            Outcome::Unchanged if source == Source::Manifests => state.complaints.clear(),
            // The index that the API server holds is the truth; only its writer can have gone back.
            Outcome::Stale if source == Source::Watch => {
                let held = state.sequence.unwrap_or_default();
                complain(
                    &mut state,
                    source,
                    &format_args!("its sequence {sequence} is lower than {held}, which is served"),
                );
            }
            _ => {
                debug!(source = source.name(), %revision, sequence, result = outcome.name(), "configuration not taken");
            }
        }
        outcome
    }

    /// Counts a set that did not verify, and says so: once for each distinct error since the last accepted set.
    pub fn reject(&self, source: Source, outcome: Outcome, error: &dyn fmt::Display) {
        self.count(outcome);
        complain(&mut self.state(), source, error);
    }

    /// The sequence of what is served; `None` before the first set.
    pub fn sequence(&self) -> Option<u64> {
        self.state().sequence
    }

    /// The revision of what is served; empty before the first set.
    pub fn revision(&self) -> String {
        self.state().revision.clone()
    }

    /// How often each outcome came since the start.
    pub fn stats(&self) -> [(Outcome, u64); Outcome::ALL.len()] {
        Outcome::ALL.map(|outcome| (outcome, self.shared.counts[outcome as usize].load(Ordering::Relaxed)))
    }

    fn count(&self, outcome: Outcome) {
        self.shared.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement; a panic elsewhere must not end the reloads.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True when this was not said before.
fn complain(state: &mut State, source: Source, error: &dyn fmt::Display) -> bool {
    let text = format!("{}: {error}", source.name());
    if state.complaints.contains(&text) {
        return false;
    }
    if state.sequence.is_some() {
        warn!("configuration refused, keeping revision {}: {text}", state.revision);
    } else {
        warn!("configuration refused, nothing is served yet: {text}");
    }
    if state.complaints.len() >= COMPLAINTS_MAX {
        state.complaints.clear();
    }
    state.complaints.insert(text)
}

#[cfg(test)]
mod tests;
