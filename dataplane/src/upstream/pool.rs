//! Connections that wait for their next request.

use super::connection::Connection;
use crate::table::Origin;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many connections idle per origin at most; more are closed.
const MAX_IDLE: usize = 256;
/// How long one idles at most. Below the keep-alive times of providers and load balancers (60 s and up), so that the relay closes first.
const IDLE: Duration = Duration::from_secs(50);

#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Origin, Vec<(Instant, Connection)>>>,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Vec<(Instant, Connection)>>> {
        // No invariant spans the lock: a panic inside leaves a whole map.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last and is still open.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let (since, mut connection) = self.lock().get_mut(origin)?.pop()?;
            if since.elapsed() < IDLE && connection.is_reusable() {
                return Some(connection);
            }
        }
    }

    pub(super) fn put(&self, origin: &Origin, connection: Connection) {
        let mut idle = self.lock();
        if let Some(list) = idle.get_mut(origin) {
            if list.len() < MAX_IDLE {
                list.push((Instant::now(), connection));
            }
        } else {
            idle.insert(origin.clone(), vec![(Instant::now(), connection)]);
        }
    }

    pub(super) fn sweep(&self) {
        self.lock().retain(|_, list| {
            list.retain_mut(|(since, connection)| since.elapsed() < IDLE && connection.is_reusable());
            !list.is_empty()
        });
    }

    pub(super) fn len(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }
}
