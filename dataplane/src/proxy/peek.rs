//! The request's body, and what must be read of it before its route is known.

use super::model::{ModelScanner, Scanned};
use crate::upstream::{RequestBody, RequestBodyError, discard};
use bytes::BytesMut;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How long a body may take whose model decides on its route.
const PEEK_TIME: Duration = Duration::from_secs(30);
/// How much of all such bodies together is held in memory, in KiB. More than the largest body that a route may allow would be for one alone.
const ROOM_KIB: usize = 128 * 1024;
static ROOM: Semaphore = Semaphore::const_new(ROOM_KIB);

/// A body of which the beginning may have been read.
pub(super) struct Peeked {
    head: BytesMut,
    room: Option<SemaphorePermit<'static>>,
    rest: Option<Incoming>,
    /// The client waits for the word to send it.
    is_held_back: bool,
}

impl Peeked {
    pub(super) fn new(headers: &HeaderMap, body: Incoming) -> Self {
        Self { head: BytesMut::new(), room: None, rest: Some(body), is_held_back: headers.contains_key(EXPECT) }
    }

    /// The whole body, on its way to a backend.
    pub(super) fn take(&mut self, max: u64, fault: Arc<OnceLock<RequestBodyError>>) -> RequestBody {
        let head = self.head.split().freeze();
        let head = if head.is_empty() { VecDeque::new() } else { VecDeque::from([head]) };
        RequestBody::new(head, self.rest.take(), max, fault).holding(self.room.take(), self.is_held_back)
    }

    /// Reads the body of a refused request on, unless its client waits for the word to send it.
    pub(super) fn discard(self) {
        if let Some(rest) = self.rest.filter(|_| !self.is_held_back) {
            discard(rest);
        }
    }

    /// The top-level `model` of a JSON body. Reads to the end of the object, but no more than `max` bytes and no longer than 30 s; keeps what it read.
    pub(super) async fn find_model(
        &mut self,
        headers: &HeaderMap,
        max: u64,
    ) -> Result<Option<String>, RequestBodyError> {
        if !is_json(headers) {
            return Ok(None);
        }
        if declared_length(headers).is_some_and(|length| length > max) {
            return Err(RequestBodyError::TooLarge);
        }
        timeout(PEEK_TIME, self.scan(max)).await.unwrap_or(Err(RequestBodyError::TooSlow))
    }

    async fn scan(&mut self, max: u64) -> Result<Option<String>, RequestBodyError> {
        let mut scanner = ModelScanner::default();
        let Some(rest) = &mut self.rest else { return Ok(None) };
        while let Some(frame) = rest.frame().await {
            let Ok(bytes) = frame?.into_data() else { continue };
            if (self.head.len() + bytes.len()) as u64 > max {
                return Err(RequestBodyError::TooLarge);
            }
            make_room(&mut self.room, self.head.len() + bytes.len())?;
            let found = scanner.push(&bytes);
            self.head.extend_from_slice(&bytes);
            match found {
                Scanned::More => {}
                Scanned::Found(model) => return Ok(Some(model)),
                Scanned::Without => return Ok(None),
                Scanned::Twice => return Err(RequestBodyError::Ambiguous),
            }
        }
        Ok(None)
    }
}

/// Takes places until `held` covers so many bytes.
fn make_room(held: &mut Option<SemaphorePermit<'static>>, bytes: usize) -> Result<(), RequestBodyError> {
    let has = held.as_ref().map_or(0, SemaphorePermit::num_permits);
    let lacks = u32::try_from(bytes.div_ceil(1024).saturating_sub(has)).map_err(|_| RequestBodyError::NoRoom)?;
    let more = ROOM.try_acquire_many(lacks).map_err(|_| RequestBodyError::NoRoom)?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence =
        |value: &[u8]| value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = essence(value.as_bytes());
        essence == b"application/json" || essence.ends_with(b"+json")
    })
}

/// The length that the client declared.
pub(super) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
