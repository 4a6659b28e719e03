//! The operator: watches RelayRoutes and RelayTenants, compiles them, writes what the proxies serve, and reports.
//!
//! ```text
//! stores        watches -> mirrors in memory (warm in every replica)
//! election      one replica leads, by a Lease
//! controller    resolve -> compile -> build -> plan -> apply        (the leader; one key: the whole fleet)
//! confirm       one long poll a proxy: which revision does it serve
//! history       which object stood how in which revision
//! programmed    (ready proxies, their revisions, history) -> how many serve an object as it stands
//! sharing       which proxies do not share the limits, and when that is told
//! report        conditions, written only where they changed
//! ```
//!
//! What the proxies get and what the conditions say is a function of the stores: neither order of events, nor restarts, nor a second replica
//! changes it. Everything that does I/O is named here: `stores::watch`, `controller::apply`, `controller::written`, `confirm`, `report::reporter`,
//! `election`, `admin`. The rest is pure.

pub mod admin;
pub mod brief;
pub mod cli;
pub mod confirm;
pub mod controller;
pub mod election;
pub mod history;
pub mod lease;
pub mod logging;
pub mod metrics;
pub mod programmed;
pub mod render;
pub mod report;
pub mod run;
pub mod sharing;
pub mod stores;
