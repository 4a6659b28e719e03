//! The contract between operator and proxy: what one writes and the other reads.
//!
//! ```text
//! Snapshot  --shards::split-->  Index + 16 config shards + 16 secret shards  --shards::assemble-->  Snapshot
//!           (operator)          ConfigMaps and Secrets                        (proxy)
//! ```
//!
//! Only serde types and pure functions. Unknown fields are ignored, so that a proxy reads what the next version writes; a change
//! that an older proxy would get wrong raises [`Index::min_reader`], and that proxy keeps what it has.

mod model;
mod policy;
mod secret;
pub mod shards;

pub use model::{
    Backend, Credential, HeaderRule, KeyDigest, Match, ModelPattern, ObjectId, ObjectIdError, PathRule, Provider,
    RateLimit, Route, Snapshot, Tenant, Timeouts,
};
pub use policy::{Hedge, ModelRewrite, Policy, Retries, WireFormat};
pub use secret::SecretText;
pub use shards::{AssembleError, Index, Shards};

/// The version of this format that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

#[cfg(test)]
mod tests;
