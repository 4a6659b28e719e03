//! From the shards of a set to the texts of the 32 objects.

use relay_snapshot::shards::{Shards, sha256_hex};
use std::collections::BTreeMap;

/// What kind of object a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardKind {
    /// A ConfigMap: nothing secret in it.
    Config,
    /// A Secret.
    Secret,
}

/// A shard, ready to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    /// ConfigMap or Secret.
    pub kind: ShardKind,
    /// The text. No `Debug`: it may be secret.
    pub text: String,
    /// SHA-256 of the text in hex.
    pub hash: String,
}

/// A set, ready to be written.
pub struct Prepared {
    /// Object name to shard.
    pub pieces: BTreeMap<String, Piece>,
    /// The same as the contract has it; gives the index.
    pub shards: Shards,
}

/// Names the 32 objects and hashes their texts.
pub fn build(shards: Shards) -> Prepared {
    let configs = shards.configs.iter().map(|(name, text)| (ShardKind::Config, name, text));
    let secrets = shards.secrets.iter().map(|(name, text)| (ShardKind::Secret, name, text));
    let piece = |(kind, name, text): (ShardKind, &String, &String)| {
        (name.clone(), Piece { kind, text: text.clone(), hash: sha256_hex(text.as_bytes()) })
    };
    let pieces = configs.chain(secrets).map(piece).collect();
    Prepared { pieces, shards }
}

#[cfg(test)]
mod tests;
