mod budget;
mod health;
mod in_band;
mod pick;
mod retry_after;

use crate::table::{RouteEntry, Table};
use relay_snapshot::{Backend, Limits, ObjectId, Policy, Provider, Route, Snapshot, Timeouts};
use std::sync::Arc;

/// A backend `name` at the host of the same name.
fn backend(name: &str, weight: u32, priority: u32) -> Backend {
    Backend { weight, priority, ..Backend::new(name, Provider::OpenAI, format!("http://{name}")) }
}

/// A table with one route of these backends.
fn table(backends: Vec<Backend>) -> Table {
    with_route(backends, true)
}

/// The same, and a reference of the route is not resolved.
fn unready(backends: Vec<Backend>) -> Table {
    with_route(backends, false)
}

fn with_route(backends: Vec<Backend>, ready: bool) -> Table {
    let route = Route {
        id: ObjectId::new("team", "r"),
        created: 0,
        tenants: Vec::new(),
        matches: Vec::new(),
        backends,
        timeouts: Timeouts::default(),
        body_max: 1000,
        policy: Policy::default(),
        limits: Limits::default(),
        ready,
    };
    Table::new(&Snapshot { routes: vec![route], tenants: Vec::new() }, "r")
}

fn entry(backends: Vec<Backend>) -> Arc<RouteEntry> {
    Arc::clone(&table(backends).routes()[0])
}
