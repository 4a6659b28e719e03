//! Memory for request bodies that are held: while their model decides on the route, and until it is sure that they need not be sent again.

use super::RequestBodyError;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How much of all bodies together is held, in KiB. More than the largest body that a route may allow would be for one alone.
const ROOM_KIB: usize = 128 * 1024;
/// What is left for bodies whose route is not known yet, in KiB: without room those are refused, while others only lose their second attempt.
const FOR_ROUTES_KIB: usize = ROOM_KIB / 2;
static ROOM: Semaphore = Semaphore::const_new(ROOM_KIB);

/// The places of one body, in KiB; given back when it is dropped.
#[derive(Debug, Default)]
pub struct Room {
    permit: Option<SemaphorePermit<'static>>,
}

impl Room {
    /// Takes places until this covers so many bytes.
    pub fn cover(&mut self, bytes: usize) -> Result<(), RequestBodyError> {
        let lacks = self.lacks(bytes);
        let lacks = u32::try_from(lacks).map_err(|_| RequestBodyError::NoRoom)?;
        let more = ROOM.try_acquire_many(lacks).map_err(|_| RequestBodyError::NoRoom)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }

    /// The same, but only while there is plenty for others.
    pub(super) fn cover_if_plenty(&mut self, bytes: usize) -> bool {
        let lacks = self.lacks(bytes);
        lacks == 0 || (ROOM.available_permits() >= lacks + FOR_ROUTES_KIB && self.cover(bytes).is_ok())
    }

    fn lacks(&self, bytes: usize) -> usize {
        let has = self.permit.as_ref().map_or(0, SemaphorePermit::num_permits);
        bytes.div_ceil(1024).saturating_sub(has)
    }
}
