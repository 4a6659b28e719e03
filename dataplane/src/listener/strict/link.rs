//! What a connection's guard and its service tell each other.

use super::framing::Refused;
use crate::listener::requests::Place;
use http::{Method, Request, StatusCode};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// One for each HTTP/1.1 connection. The service answers requests one by one, in the order in which the guard let them pass.
#[derive(Debug, Default)]
pub(in crate::listener) struct Link {
    refused: OnceLock<Refused>,
    is_broken: AtomicBool,
    answered: AtomicU32,
    is_tunnel: AtomicBool,
    /// A tunnel counts as a request under way until its connection ends, and this with it.
    place: OnceLock<Place>,
}

impl Link {
    /// The request that the guard put into the place of one that it refused. No client can send it: `*` is let pass with OPTIONS only.
    pub(super) const STAND_IN: &'static [u8] = b"GET * HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n";
    /// The same where the answer must have no body.
    pub(super) const STAND_IN_HEAD: &'static [u8] = b"HEAD * HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n";

    /// The guard refuses what comes next on this connection.
    pub(super) fn refuse(&self, refused: Refused) -> &'static [u8] {
        let stand_in = if refused.method == Method::HEAD { Self::STAND_IN_HEAD } else { Self::STAND_IN };
        // Only once: nothing passes behind it.
        let _ = self.refused.set(refused);
        stand_in
    }

    /// A body broke a rule: nothing more is read.
    pub(super) fn break_off(&self) {
        self.is_broken.store(true, Ordering::Release);
    }

    /// Whether a body broke a rule, so that the answer to its request is the connection's last.
    pub(in crate::listener) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// What the guard refused, if this request stands for it.
    pub(in crate::listener) fn refused<B>(&self, request: &Request<B>) -> Option<&Refused> {
        let stands_in = request.method() != Method::OPTIONS && request.uri().path() == "*";
        if stands_in { self.refused.get() } else { None }
    }

    /// The service answered a request to upgrade.
    pub(in crate::listener) fn answered(&self, status: StatusCode, place: Place) -> Option<Place> {
        let left = if status == StatusCode::SWITCHING_PROTOCOLS {
            self.is_tunnel.store(true, Ordering::Release);
            self.place.set(place).err()
        } else {
            Some(place)
        };
        self.answered.fetch_add(1, Ordering::Release);
        left
    }

    /// How many requests to upgrade were answered.
    pub(super) fn answers(&self) -> u32 {
        self.answered.load(Ordering::Acquire)
    }

    /// Whether the last of them was accepted.
    pub(super) fn is_tunnel(&self) -> bool {
        self.is_tunnel.load(Ordering::Acquire)
    }
}
