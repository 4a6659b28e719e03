//! The request's body, and what must be read of it before it goes up.

use super::model::{ModelScanner, Scanned};
use crate::upstream::{Received, RequestBodyError, Room, Upload, discard};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::ops::Range;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a body may take whose model decides on its route, or is replaced.
const PEEK_TIME: Duration = Duration::from_secs(30);

/// A body of which the beginning may have been read.
pub(super) struct Peeked {
    head: BytesMut,
    room: Room,
    rest: Option<Received>,
    /// The client waits for the word to send it.
    is_held_back: bool,
    model: Option<Model>,
    /// How long the client was waited for.
    waited: Duration,
}

/// What was found out about the top-level `model` of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    /// Its name; `None`: there is none, or it is no string or too long for a name.
    pub(super) name: Option<String>,
    /// Where its value stands in the body, with its quotes; `None`: there is none, or it is no string.
    pub(super) place: Option<Range<usize>>,
}

impl Peeked {
    pub(super) fn new(head: &request::Parts, body: Incoming) -> Self {
        let is_held_back = head.headers.contains_key(EXPECT);
        Self {
            head: BytesMut::new(),
            room: Room::default(),
            rest: Some(Received::new(body, head.version)),
            is_held_back,
            model: None,
            waited: Duration::ZERO,
        }
    }

    /// The whole body, on its way to a backend. `keeps`: it may have to be sent again.
    pub(super) fn take(&mut self, max: u64, keeps: bool) -> Upload {
        let head = self.head.split().freeze();
        Upload::new(head, self.rest.take(), max, std::mem::take(&mut self.room), self.is_held_back, keeps)
    }

    /// What was read of it.
    pub(super) fn read(&self) -> &[u8] {
        &self.head
    }

    /// How long the client was waited for until now.
    pub(super) const fn waited(&self) -> Duration {
        self.waited
    }

    /// Reads the body of a refused request on, unless its client waits for the word to send it.
    pub(super) fn discard(self) {
        if let Some(rest) = self.rest.filter(|_| !self.is_held_back) {
            discard(rest);
        }
    }

    /// The top-level `model` of a JSON body. Reads to the end of the object, but no more than `max` bytes and no longer than 30 s; keeps what it read.
    pub(super) async fn find_model(&mut self, headers: &HeaderMap, max: u64) -> Result<&Model, RequestBodyError> {
        if self.model.is_none() && is_json(headers) {
            if declared_length(headers).is_some_and(|length| length > max) {
                return Err(RequestBodyError::TooLarge);
            }
            let found = timeout(PEEK_TIME, self.scan(max)).await.unwrap_or(Err(RequestBodyError::TooSlow))?;
            self.model = Some(found);
        }
        Ok(self.model.get_or_insert_default())
    }

    /// All of the body, in no more than `max` bytes and 30 s; keeps what it read.
    pub(super) async fn read_whole(&mut self, max: u64) -> Result<&[u8], RequestBodyError> {
        timeout(PEEK_TIME, self.read_on(max)).await.unwrap_or(Err(RequestBodyError::TooSlow))?;
        Ok(&self.head)
    }

    /// The same, where it comes in that time and there is memory for it; `None` where not. What was read is kept either way.
    pub(super) async fn try_whole(&mut self, max: u64) -> Result<Option<&[u8]>, RequestBodyError> {
        match timeout(PEEK_TIME, self.read_on(max)).await {
            Err(_) | Ok(Err(RequestBodyError::NoRoom)) => Ok(None),
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) => Ok(Some(&self.head)),
        }
    }

    async fn read_on(&mut self, max: u64) -> Result<(), RequestBodyError> {
        while self.read_piece(max).await?.is_some() {}
        self.rest = None;
        Ok(())
    }

    /// The next piece of the body, which is kept too; `None`: it is over.
    async fn read_piece(&mut self, max: u64) -> Result<Option<Bytes>, RequestBodyError> {
        let Some(rest) = &mut self.rest else { return Ok(None) };
        // To read it is to ask for it.
        self.is_held_back = false;
        loop {
            let begun = Instant::now();
            let frame = rest.frame().await;
            self.waited += begun.elapsed();
            let Some(frame) = frame else { return Ok(None) };
            let Ok(bytes) = frame?.into_data() else { continue };
            if (self.head.len() + bytes.len()) as u64 > max {
                return Err(RequestBodyError::TooLarge);
            }
            // Kept also where there is no room for more.
            self.head.extend_from_slice(&bytes);
            self.room.cover(self.head.len())?;
            return Ok(Some(bytes));
        }
    }

    async fn scan(&mut self, max: u64) -> Result<Model, RequestBodyError> {
        let mut scanner = ModelScanner::default();
        let mut found = scanner.push(&self.head);
        loop {
            match found {
                Scanned::More => {}
                Scanned::Found(name) => return Ok(Model { name: Some(name), place: scanner.place_of_model() }),
                Scanned::Without => return Ok(Model { name: None, place: scanner.place_of_model() }),
                Scanned::Twice => return Err(RequestBodyError::Ambiguous),
            }
            let Some(bytes) = self.read_piece(max).await? else { break };
            found = scanner.push(&bytes);
        }
        // No whole object: what it means is for the provider to say.
        Ok(Model::default())
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
