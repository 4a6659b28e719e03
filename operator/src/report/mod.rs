//! What users are told: conditions, written only where they changed.

pub mod reporter;
pub mod status;

use crate::history::History;
use relay_compile::{ObjectKey, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// While a set is this young, proxies that do not have it yet are no news: nobody is told how far it got.
pub const SETTLING: Duration = Duration::from_secs(1);

/// What the controller wants, for the reporter.
#[derive(Clone, Debug)]
pub struct Desired {
    /// One verdict an object.
    pub verdicts: Arc<BTreeMap<ObjectKey, Verdict>>,
    /// The sets up to the wanted one.
    pub history: History,
    /// Why the wanted set is not in the cluster, where it could not be written.
    pub trouble: Option<String>,
    /// When the wanted set was first wanted.
    pub started: Instant,
    /// Whether the time until every proxy serves it tells something: not where the set was there before.
    pub measured: bool,
}
