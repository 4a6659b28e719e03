//! The request's body, and what must be read of it before its route is known.

use super::model::{ModelScanner, Scanned};
use crate::upstream::{RequestBody, RequestBodyError};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::timeout;

/// How long, and how much, is read of the body of a request that was refused.
const DISCARD_TIME: Duration = Duration::from_secs(5);
const DISCARD_BYTES: usize = 64 << 20;

/// A body of which the beginning may have been read.
pub(super) struct Peeked {
    head: VecDeque<Bytes>,
    rest: Option<Incoming>,
    /// The client waits for the word to send it.
    is_held_back: bool,
}

impl Peeked {
    pub(super) fn new(headers: &HeaderMap, body: Incoming) -> Self {
        Self { head: VecDeque::new(), rest: Some(body), is_held_back: headers.contains_key(EXPECT) }
    }

    /// The whole body, on its way to a backend.
    pub(super) fn take(&mut self, max: u64, fault: Arc<OnceLock<RequestBodyError>>) -> RequestBody {
        RequestBody::new(std::mem::take(&mut self.head), self.rest.take(), max, fault)
    }

    /// Reads on, within bounds, and forgets what comes. A connection that is closed while its client still sends is reset, and a client that meets
    /// the reset may never read why it was refused.
    pub(super) fn discard(self) {
        let Some(mut rest) = self.rest.filter(|rest| !rest.is_end_stream() && !self.is_held_back) else { return };
        tokio::spawn(timeout(DISCARD_TIME, async move {
            let mut read = 0;
            while let Some(Ok(frame)) = rest.frame().await
                && read < DISCARD_BYTES
            {
                read += frame.data_ref().map_or(0, Bytes::len);
            }
        }));
    }

    /// The top-level `model` of a JSON body. Reads until it is found, or to the end, but no more than `max` bytes; keeps what it read.
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
        let mut scanner = ModelScanner::default();
        let mut read = 0_u64;
        let Some(rest) = &mut self.rest else { return Ok(None) };
        while let Some(frame) = rest.frame().await {
            let Ok(bytes) = frame?.into_data() else { continue };
            read += bytes.len() as u64;
            if read > max {
                return Err(RequestBodyError::TooLarge);
            }
            let found = scanner.push(&bytes);
            self.head.push_back(bytes);
            match found {
                Scanned::More => {}
                Scanned::Found(model) => return Ok(Some(model)),
                Scanned::Without => return Ok(None),
            }
        }
        Ok(None)
    }
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
