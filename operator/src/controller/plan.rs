//! What has to be written: pure, from what is wanted and what is known to be in the cluster.

use super::build::Prepared;
use relay_snapshot::Index;
use relay_snapshot::shards::INDEX_NAME;
use std::collections::BTreeMap;

/// What the operator knows of one of its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Resource version.
    pub version: u64,
    /// SHA-256 of its text; of the empty text where it has none.
    pub hash: String,
    /// Whether it carries the label that it should.
    pub labelled: bool,
    /// Of the index: what it says, if it is readable.
    pub index: Option<Index>,
}

/// What to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Names of shards, in order.
    pub shards: Vec<String>,
    /// The index, to be written when every shard is.
    pub index: Option<Index>,
}

impl Plan {
    /// Whether all is as wanted.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty() && self.index.is_none()
    }
}

/// Compares. `known` has no entry for an object that does not exist. `now_ms` is the time in milliseconds since 1970.
///
/// Where any shard is written the index is, too, even with an unchanged revision: the new sequence number makes proxies look again that met
/// a shard which somebody else had changed.
pub fn plan(wanted: &Prepared, known: &BTreeMap<String, Known>, now_ms: u64) -> Plan {
    let differs = |name: &str, hash: &str| known.get(name).is_none_or(|known| known.hash != hash || !known.labelled);
    let shards: Vec<String> =
        wanted.pieces.iter().filter(|(name, piece)| differs(name, &piece.hash)).map(|(name, _)| name.clone()).collect();
    let present = known.get(INDEX_NAME);
    let previous = present.and_then(|known| known.index.as_ref());
    let sequence = previous.map_or(0, |index| index.sequence);
    let index = wanted.shards.index(sequence);
    if shards.is_empty() && present.is_some_and(|known| known.labelled) && previous == Some(&index) {
        return Plan::default();
    }
    // Time keeps the number growing where the object, and with it the last number, was deleted.
    let sequence = sequence.saturating_add(1).max(now_ms);
    Plan { shards, index: Some(Index { sequence, ..index }) }
}

#[cfg(test)]
mod tests;
