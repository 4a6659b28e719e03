//! Where the proxy's configuration comes from.
//!
//! ```text
//! mount      the volume that the kubelet writes: the cold-start copy                      \
//! watch      one watch on the index, then a get of the shards that changed: milliseconds   >-- Update --> Sink --> the lead's swap
//! manifests  a folder of YAML, compiled here: the proxy without a cluster                 /
//! ```
//!
//! Each source is an `async fn run(…, sink, shutdown)` that ends only by `shutdown`. What it hands over is verified and complete; the
//! [`Sink`] decides whether it is newer than what is served, so that two sources side by side never take the proxy back. A set that
//! does not verify is counted and said once, and the proxy keeps what it has.

pub(crate) mod folder;
pub mod manifests;
pub mod mount;
mod sink;
pub mod watch;

pub use sink::{Outcome, Sink, Source, Update};
