//! HTTP/1.1 connections that wait for their next request.

use super::Key;
use super::connection::Connection;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many connections idle per origin at most; more are closed.
const MAX_IDLE: usize = 256;
/// How many idle over all origins at most; beyond it the one that idles longest is closed.
const MAX_IDLE_TOTAL: usize = 1024;
/// How long one idles at most. Below the keep-alive times of providers and load balancers (60 s and up), so that the relay closes first.
pub(super) const IDLE: Duration = Duration::from_secs(50);

pub(super) struct Pool {
    idle: Mutex<Idle>,
    max: usize,
}

#[derive(Default)]
struct Idle {
    /// Put last stands last.
    lists: HashMap<Key, Vec<(Instant, Connection)>>,
    count: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self::of(MAX_IDLE_TOTAL)
    }
}

impl Pool {
    pub(super) fn of(max: usize) -> Self {
        Self { idle: Mutex::default(), max }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // A panic inside leaves a whole map, and at worst a count that is too high until the next sweep.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last and is still open.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        loop {
            let (since, mut connection) = {
                let mut idle = self.lock();
                let newest = idle.lists.get_mut(key)?.pop()?;
                idle.count -= 1;
                newest
            };
            if since.elapsed() < IDLE && connection.is_reusable() {
                return Some(connection);
            }
        }
    }

    pub(super) fn put(&self, key: &Key, connection: Connection) {
        connection.forget_task();
        let mut idle = self.lock();
        let list = match idle.lists.get_mut(key) {
            Some(list) => list,
            None => idle.lists.entry(key.clone()).or_default(),
        };
        if list.len() == MAX_IDLE {
            return;
        }
        list.push((Instant::now(), connection));
        idle.count += 1;
        let surplus = if idle.count > self.max { idle.remove_oldest() } else { None };
        // Closing takes a system call, which nobody should wait for.
        drop(idle);
        drop(surplus);
    }

    /// Closes what idled too long or was closed by the other side. Looks at one origin at a time, so that requests need not wait for all of it.
    pub(super) fn sweep(&self) {
        let keys: Vec<Key> = self.lock().lists.keys().cloned().collect();
        for key in keys {
            drop(self.take_stale(&key));
        }
    }

    /// Those of one origin that are of no use any more, for the caller to close: that takes a system call each, which nobody should wait for.
    pub(super) fn take_stale(&self, key: &Key) -> Vec<Connection> {
        let mut idle = self.lock();
        let mut stale = Vec::new();
        if let Some(list) = idle.lists.get_mut(key) {
            let gone = list.extract_if(.., |(since, connection)| since.elapsed() >= IDLE || !connection.is_reusable());
            stale.extend(gone.map(|(_, connection)| connection));
        }
        idle.lists.retain(|_, list| !list.is_empty());
        idle.count = idle.lists.values().map(Vec::len).sum();
        stale
    }

    pub(super) fn len(&self) -> usize {
        self.lock().count
    }
}

impl Idle {
    fn remove_oldest(&mut self) -> Option<Connection> {
        let age = |list: &Vec<(Instant, Connection)>| list.first().map(|(since, _)| *since);
        let oldest = self.lists.values_mut().filter(|list| !list.is_empty()).min_by_key(|list| age(list))?;
        self.count -= 1;
        Some(oldest.remove(0).1)
    }
}
