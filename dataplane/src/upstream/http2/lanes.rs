//! The HTTP/2 connections of each origin.

use super::connection::{Offer, Place, Shared};
use crate::upstream::connector::Stream;
use crate::upstream::{Key, UpstreamError};
use hyper_util::client::legacy::connect::Connection as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many connections an origin has at most: with 100 streams on each, 6,400 requests at once. Further requests wait for a place, as long as a
/// connection may take.
const MAX_CONNECTIONS: usize = 64;

/// The connections of all origins.
#[derive(Default)]
pub(in crate::upstream) struct Lanes {
    lanes: Mutex<HashMap<Key, Arc<Lane>>>,
}

/// The connections of one origin.
#[derive(Default)]
pub(in crate::upstream) struct Lane {
    connections: Mutex<Vec<Shared>>,
    /// Who connects, or waits for a place: one after the other, so that a crowd of requests opens no crowd of connections.
    turn: tokio::sync::Mutex<()>,
    changed: Arc<Notify>,
}

enum Look {
    Place(Place),
    Wait,
    Connect,
}

/// What a dial came to.
pub(in crate::upstream) enum Dialled {
    Place(Place),
    /// The origin does not speak HTTP/2 any more.
    Other(Stream),
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Lane>>> {
        // No invariant spans the lock: a panic inside leaves a whole map.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lane of an origin that speaks HTTP/2, as far as is known.
    pub(in crate::upstream) fn find(&self, key: &Key) -> Option<Arc<Lane>> {
        self.lock().get(key).cloned()
    }

    /// The lane of an origin that speaks HTTP/2.
    pub(in crate::upstream) fn make(&self, key: &Key) -> Arc<Lane> {
        Arc::clone(self.lock().entry(key.clone()).or_default())
    }

    /// The origin speaks HTTP/1.1 now.
    pub(in crate::upstream) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// Closes what is over, and forgets origins without connections.
    pub(in crate::upstream) fn sweep(&self) {
        self.lock().retain(|_, lane| {
            let mut connections = lane.lock();
            connections.retain_mut(|shared| !shared.is_over());
            // Somebody who connects holds on to the lane.
            !connections.is_empty() || Arc::strong_count(lane) > 1
        });
    }

    /// How many connections have no stream.
    pub(in crate::upstream) fn idle(&self) -> usize {
        let idle = |lane: &Arc<Lane>| lane.lock().iter().filter(|shared| shared.idle().is_some()).count();
        self.lock().values().map(idle).sum()
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Vec<Shared>> {
        // No invariant spans the lock: a panic inside leaves a whole list.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place on an open connection.
    pub(in crate::upstream) fn place(&self) -> Option<Place> {
        match self.look() {
            Look::Place(place) => Some(place),
            Look::Wait | Look::Connect => None,
        }
    }

    /// The connection that was opened first comes first, so that a quiet time leaves the others without streams.
    fn look(&self) -> Look {
        let mut connections = self.lock();
        let (mut at, mut untold) = (0, false);
        while let Some(shared) = connections.get_mut(at) {
            match shared.offer() {
                Offer::Place(place) => return Look::Place(place),
                Offer::Full => at += 1,
                Offer::Untold => {
                    untold = true;
                    at += 1;
                }
                Offer::Over => {
                    connections.remove(at);
                }
            }
        }
        if untold || connections.len() >= MAX_CONNECTIONS { Look::Wait } else { Look::Connect }
    }

    /// A place on an open connection, or on a new one that `dial` opens. Without bound of its own; cancel-safe.
    pub(in crate::upstream) async fn acquire(
        &self,
        dial: impl Future<Output = Result<Stream, UpstreamError>>,
    ) -> Result<Dialled, UpstreamError> {
        let _turn = self.turn.lock().await;
        loop {
            // From here on no change is missed.
            let changed = self.changed.notified();
            match self.look() {
                Look::Place(place) => return Ok(Dialled::Place(place)),
                Look::Wait => changed.await,
                Look::Connect => break,
            }
        }
        let stream = dial.await?;
        if !stream.connected().is_negotiated_h2() {
            return Ok(Dialled::Other(stream));
        }
        let mut shared = Shared::open(stream, Arc::clone(&self.changed)).await?;
        let offer = shared.offer();
        self.lock().push(shared);
        match offer {
            Offer::Place(place) => Ok(Dialled::Place(place)),
            Offer::Full | Offer::Untold | Offer::Over => Err(UpstreamError::Reset),
        }
    }
}
