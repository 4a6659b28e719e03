//! The streaming proxy. The way of a request, with the module that does each step:
//!
//! ```text
//! listener      accepts h1 and h2, in the clear or by TLS; bounds, drains
//! proxy         authenticate -> find route -> admit -> attempt -> respond
//!   table         who may call what: built from a snapshot, swapped whole
//!   limits        may this tenant, now
//!   balance       which backend, how often, and whether once more
//!   upstream      connections to providers, polled inside the response body
//! relay         the response body: idle timeout, event boundaries, the one end of each stream
//! tunnel        WebSockets, where the route's format has them
//!   format        per wire format: when is an answer complete, how is it told that it failed
//! config        where snapshots come from: mounted volume, API server, manifests
//! admin         metrics, health, revision
//! ```

pub mod admin;
pub mod balance;
pub mod cli;
pub mod config;
pub mod drain;
pub mod exchange;
pub mod format;
pub mod limits;
pub mod listener;
pub mod metrics;
pub mod proxy;
pub mod reason;
pub mod relay;
pub mod run;
pub mod serving;
pub mod table;
pub mod tunnel;
pub mod upstream;
