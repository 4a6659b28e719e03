//! The contract between operator and proxy: what one writes and the other reads.
//!
//! ```text
//! Snapshot  --shards::split-->  Index + 16 config shards + 16 secret shards  --shards::assemble-->  Snapshot
//!           (operator)          ConfigMaps and Secrets                        (proxy)
//! ```
//!
//! Only serde types and pure functions. Unknown fields are ignored, so that a proxy reads what the next version writes; a change
//! that an older proxy would get wrong raises [`Index::min_reader`], and that proxy keeps what it has.

mod limits;
mod model;
mod policy;
mod secret;
pub mod shards;

pub use limits::{Budget, Calendar, Count, Limits, RateLimit, TokenLimit, Unavailable, Unit};
pub use model::{
    Backend, Credential, HeaderRule, KeyDigest, Match, ModelPattern, ObjectId, ObjectIdError, PathRule, Provider,
    Route, Snapshot, Tenant, Timeouts,
};
pub use policy::{Hedge, ModelRewrite, Policy, Retries, WireFormat};
pub use secret::SecretText;
pub use shards::{AssembleError, Index, Shards};

/// The version of this format that this build writes, and the newest that it reads.
///
/// 1: requests limits of tenants. 2: all limits, those of routes too. A set with nothing but format 1 has is still for its readers.
pub const FORMAT: u32 = 2;

#[cfg(test)]
mod tests;
