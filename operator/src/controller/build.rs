//! From a snapshot to the texts of the 32 shards, checked against the size that Kubernetes takes.

use relay_snapshot::Snapshot;
use relay_snapshot::shards::{SHARD_MAX_BYTES, Shards, sha256_hex, split};
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

/// Why a snapshot is no set that can be written. What is in the cluster stays.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A shard is too large.
    #[error(
        "{name} would have {bytes} bytes, more than {SHARD_MAX_BYTES}: routes or tenants of its namespaces are too many or too large"
    )]
    TooLarge {
        /// Name of the shard's object.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// The snapshot has no JSON form. The cause is left out, it could quote a secret.
    #[error("the set has no JSON form")]
    Unprintable,
}

/// Cuts and checks.
pub fn build(snapshot: &Snapshot) -> Result<Prepared, BuildError> {
    let shards = split(snapshot).map_err(|_| BuildError::Unprintable)?;
    let configs = shards.configs.iter().map(|(name, text)| (ShardKind::Config, name, text));
    let secrets = shards.secrets.iter().map(|(name, text)| (ShardKind::Secret, name, text));
    let mut pieces = BTreeMap::new();
    for (kind, name, text) in configs.chain(secrets) {
        if text.len() > SHARD_MAX_BYTES {
            return Err(BuildError::TooLarge { name: name.clone(), bytes: text.len() });
        }
        let piece = Piece { kind, text: text.clone(), hash: sha256_hex(text.as_bytes()) };
        pieces.insert(name.clone(), piece);
    }
    Ok(Prepared { pieces, shards })
}

#[cfg(test)]
mod tests;
