//! What of a request's body went to an upstream, for those who still want to know when the upload itself is over.

use crate::format::{Content, Prompt, Weight};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by an upload, which writes it, and whoever accounts for the request. Numbers only: no other memory is ordered by them.
#[derive(Debug, Default)]
pub struct Sent {
    reached: AtomicBool,
    bytes: AtomicU64,
    quarters: AtomicU64,
}

impl Sent {
    /// Whether any of it was taken by a connection: an upstream may have begun with it.
    pub fn has_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// Bytes that the client sent of it and that were taken, each once.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What these bytes weigh as a prompt; nothing where they are not weighed.
    pub fn weight(&self) -> Weight {
        Weight::of_quarters(self.quarters.load(Ordering::Relaxed))
    }

    pub(super) fn took(&self, piece: &[u8], prompt: Option<&mut Prompt>) {
        self.reached.store(true, Ordering::Relaxed);
        self.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if let Some(prompt) = prompt {
            prompt.push(piece);
            self.quarters.store(prompt.weight().quarters(), Ordering::Relaxed);
        }
    }
}

/// Who is told of an upload.
#[derive(Debug)]
pub(super) struct Teller {
    pub(super) sent: std::sync::Arc<Sent>,
    pub(super) prompt: Option<Prompt>,
}

impl Teller {
    pub(super) fn new(sent: std::sync::Arc<Sent>, weighed: Option<Content>) -> Self {
        Self { sent, prompt: weighed.map(Prompt::new) }
    }

    pub(super) fn took(&mut self, piece: &[u8]) {
        self.sent.took(piece, self.prompt.as_mut());
    }
}
