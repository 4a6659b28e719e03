//! The request's body, and what must be read of it before its route is known.

use super::model::{ModelScanner, Scanned};
use crate::upstream::RequestBodyError;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::collections::VecDeque;

/// A body of which the beginning may have been read.
pub(super) struct Peeked {
    pub(super) head: VecDeque<Bytes>,
    pub(super) rest: Incoming,
}

impl Peeked {
    pub(super) fn new(body: Incoming) -> Self {
        Self { head: VecDeque::new(), rest: body }
    }

    /// The top-level `model` of a JSON body. Reads until it is found, or to the end, but no more than `max` bytes; keeps what it read.
    pub(super) async fn find_model(&mut self, headers: &HeaderMap, max: u64) -> Result<Option<String>, RequestBodyError> {
        if !is_json(headers) {
            return Ok(None);
        }
        if declared_length(headers).is_some_and(|length| length > max) {
            return Err(RequestBodyError::TooLarge);
        }
        let mut scanner = ModelScanner::default();
        let mut read = 0_u64;
        while let Some(frame) = self.rest.frame().await {
            let Ok(bytes) = frame?.into_data() else { continue };
            read += bytes.len() as u64;
            if read > max {
                return Err(RequestBodyError::TooLarge);
            }
            let scanned = scanner.push(&bytes);
            self.head.push_back(bytes);
            match scanned {
                Scanned::More => {}
                Scanned::Found(model) => return Ok(Some(model)),
                Scanned::Without => return Ok(None),
            }
        }
        Ok(None)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = |value: &[u8]| value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = essence(value.as_bytes());
        essence == b"application/json" || essence.ends_with(b"+json")
    })
}

/// The length that the client declared.
pub(super) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
