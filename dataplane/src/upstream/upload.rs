//! The request's body on its way up, and what is kept of it so that it can be sent again.

use super::sent::{Sent, Teller};
use super::{Received, RequestBodyError, Room, discard};
use crate::format::Content;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// The longest body that is kept while it is sent, in bytes. A longer one can be sent only once.
pub const KEPT_MAX: usize = 1 << 20;

/// A request's body for as long as attempts may follow.
pub struct Upload {
    source: Arc<Mutex<Source>>,
}

/// Bytes of a body that others take the place of. They lie within what was read before the upload was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// Which ones.
    pub range: Range<usize>,
    /// What goes up instead.
    pub with: Bytes,
}

/// Who is waited for, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The client, for the next piece of the body.
    Client(Instant),
    /// The upstream: it has all that there is, or does not take what there is.
    Upstream(Instant),
}

struct Source {
    /// What is there of the body and may be asked for; `pieces[0]` has the number `first`.
    pieces: VecDeque<Bytes>,
    /// So many pieces were let go.
    first: usize,
    /// Pieces stay after they went out.
    keeps: bool,
    kept: usize,
    rest: Option<Received>,
    /// So many pieces count towards `left` already.
    counted: usize,
    left: u64,
    fault: Option<RequestBodyError>,
    room: Room,
    /// The client waits for the word to send it, and has not got it.
    is_held_back: bool,
    waits: Waits,
    /// The body that may read `rest` on: the one that was made last.
    reader: u64,
    teller: Option<Teller>,
}

impl Upload {
    /// `head` was read already, lies in `room` and counts towards `max`, which `rest` may add to. `is_held_back`: the client sends it only when it is
    /// asked for. `keeps`: it may be asked for more than once.
    pub fn new(head: Bytes, rest: Option<Received>, max: u64, room: Room, is_held_back: bool, keeps: bool) -> Self {
        let rest = rest.filter(|rest| !rest.is_end_stream());
        let source = Source {
            keeps: keeps && head.len() <= KEPT_MAX,
            kept: head.len(),
            pieces: if head.is_empty() { VecDeque::new() } else { VecDeque::from([head]) },
            first: 0,
            rest,
            counted: 0,
            left: max,
            fault: None,
            room,
            is_held_back,
            waits: Waits::Upstream(Instant::now()),
            reader: 0,
            teller: None,
        };
        Self { source: Arc::new(Mutex::new(source)) }
    }

    /// Writes down in `sent` what goes out from now on; and weighs it as a prompt, where it is one of this kind.
    #[must_use]
    pub fn told_to(self, sent: Arc<Sent>, weighed: Option<Content>) -> Self {
        lock(&self.source).teller = Some(Teller::new(sent, weighed));
        self
    }

    /// The whole body, to be sent, with parts exchanged that do not overlap. A body that was made before can't read on what the client has not sent yet.
    pub fn body(&self, splices: impl IntoIterator<Item = Splice>) -> RequestBody {
        let mut splices: Vec<Splice> = splices.into_iter().collect();
        splices.sort_unstable_by_key(|splice| splice.range.start);
        let mut source = lock(&self.source);
        source.reader += 1;
        let reader = source.reader;
        drop(source);
        RequestBody { source: Some(Arc::clone(&self.source)), reader, next: 0, cut: VecDeque::new(), splices }
    }

    /// Whether all that was read of it is still there.
    pub fn can_be_sent(&self) -> bool {
        let source = lock(&self.source);
        source.first == 0 && source.fault.is_none()
    }

    /// Whether the client has sent all of it, and it is still there.
    pub fn is_whole(&self) -> bool {
        let source = lock(&self.source);
        source.first == 0 && source.fault.is_none() && source.rest.is_none()
    }

    /// Whether there is nothing left to come from the client.
    pub fn is_over(&self) -> bool {
        lock(&self.source).rest.is_none()
    }

    /// Why it can't be sent on.
    pub fn fault(&self) -> Option<RequestBodyError> {
        lock(&self.source).fault
    }

    /// Who is waited for.
    pub fn waits(&self) -> Waits {
        lock(&self.source).waits
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // What is kept still may have to go out: an upstream may answer before it took the whole body.
        lock(&self.source).keeps = false;
    }
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    // No invariant spans the lock: a panic inside leaves whole pieces.
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Source {
    /// The piece with this number. `reads_on`: it may be waited for.
    fn poll(
        &mut self,
        number: usize,
        reads_on: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, RequestBodyError>>> {
        if self.fault.is_some() || number < self.first {
            return Poll::Ready(Some(Err(self.fault.unwrap_or(RequestBodyError::Gone))));
        }
        if number - self.first == self.pieces.len() && self.rest.is_some() {
            if !reads_on {
                return Poll::Ready(Some(Err(RequestBodyError::Gone)));
            }
            if let Err(error) = ready!(self.read(cx)) {
                return self.fail(error);
            }
        }
        let Some(piece) = self.pieces.get(number - self.first).cloned() else { return Poll::Ready(None) };
        if number >= self.counted {
            match self.left.checked_sub(piece.len() as u64) {
                Some(left) => self.left = left,
                None => return self.fail(RequestBodyError::TooLarge),
            }
            self.counted = number + 1;
            if let Some(teller) = &mut self.teller {
                teller.took(&piece);
            }
        }
        if !self.keeps {
            self.let_go(number);
        }
        Poll::Ready(Some(Ok(piece)))
    }

    /// Whether there is no piece with this number, nor will be.
    fn is_behind_all(&self, number: usize) -> bool {
        self.rest.is_none() && number >= self.first + self.pieces.len()
    }

    /// Reads one more piece, or to the end.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RequestBodyError>> {
        self.is_held_back = false;
        while let Some(rest) = &mut self.rest {
            let Poll::Ready(frame) = Pin::new(rest).poll_frame(cx) else {
                if matches!(self.waits, Waits::Upstream(_)) {
                    self.waits = Waits::Client(Instant::now());
                }
                return Poll::Pending;
            };
            self.waits = Waits::Upstream(Instant::now());
            // Trailers of a request are dropped: no provider reads them, and they are a way to smuggle.
            let frame = frame.transpose()?;
            if frame.is_none() || self.rest.as_ref().is_none_or(Body::is_end_stream) {
                self.rest = None;
            }
            let bytes = frame.and_then(|frame| frame.into_data().ok());
            if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                self.keep(bytes);
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn keep(&mut self, bytes: Bytes) {
        self.kept += bytes.len();
        self.keeps = self.keeps && self.kept <= KEPT_MAX && self.room.cover_if_plenty(self.kept);
        self.pieces.push_back(bytes);
    }

    /// Gives up what went out, to this piece.
    fn let_go(&mut self, number: usize) {
        while self.first <= number && self.pieces.pop_front().is_some() {
            self.first += 1;
        }
        if self.pieces.is_empty() {
            self.room = Room::default();
        }
    }

    fn fail(&mut self, error: RequestBodyError) -> Poll<Option<Result<Bytes, RequestBodyError>>> {
        self.fault = Some(error);
        Poll::Ready(Some(Err(error)))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take().filter(|_| !self.is_held_back) {
            discard(rest);
        }
    }
}

/// The request's body of one attempt; never more than the route allows.
pub struct RequestBody {
    /// `None`: nothing more is there, or will come.
    source: Option<Arc<Mutex<Source>>>,
    reader: u64,
    /// Number of the piece to ask for.
    next: usize,
    /// To go out before that piece: parts of one that was spliced, and what was put back.
    cut: VecDeque<Bytes>,
    /// In the order of their ranges.
    splices: Vec<Splice>,
}

impl RequestBody {
    /// Puts back what was taken of it, in its order, to be sent elsewhere.
    pub(super) fn put_back(&mut self, taken: VecDeque<Bytes>) {
        for bytes in taken.into_iter().rev() {
            self.cut.push_front(bytes);
        }
    }

    /// The parts of the first piece, some of its bytes exchanged.
    fn cut_up(&mut self, piece: &Bytes, splices: Vec<Splice>) -> Result<(), RequestBodyError> {
        let mut done = 0;
        let mut parts = Vec::with_capacity(2 * splices.len() + 1);
        for Splice { range, with } in splices {
            let (front, back) = (piece.get(done..range.start), piece.get(range.end..));
            let (Some(front), Some(_)) = (front, back) else { return Err(RequestBodyError::Malformed) };
            parts.extend([piece.slice_ref(front), with]);
            done = range.end;
        }
        parts.push(piece.slice(done..));
        self.cut.extend(parts.into_iter().filter(|part| !part.is_empty()));
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = &mut *self;
        while this.cut.is_empty() {
            let Some(shared) = &this.source else { return Poll::Ready(None) };
            let mut source = lock(shared);
            let reads_on = this.reader == source.reader;
            let Some(piece) = ready!(source.poll(this.next, reads_on, cx)) else {
                drop(source);
                this.source = None;
                return Poll::Ready(None);
            };
            this.next += 1;
            let was_last = source.is_behind_all(this.next);
            drop(source);
            if was_last {
                // What is kept for other attempts must not outlive them with this one.
                this.source = None;
            }
            let piece = piece?;
            if this.splices.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let splices = std::mem::take(&mut this.splices);
            this.cut_up(&piece, splices)?;
        }
        Poll::Ready(this.cut.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_empty() && self.source.as_ref().is_none_or(|source| lock(source).is_behind_all(self.next))
    }

    fn size_hint(&self) -> SizeHint {
        let len = |bytes: &Bytes| bytes.len() as u64;
        let cut: u64 = self.cut.iter().map(len).sum();
        let Some(source) = &self.source else { return SizeHint::with_exact(cut) };
        let source = lock(source);
        let rest = source.rest.as_ref().map_or(Some(0), |rest| rest.size_hint().exact());
        let Some(rest) = rest else { return SizeHint::default() };
        let pieces: u64 = source.pieces.iter().skip(self.next.saturating_sub(source.first)).map(len).sum();
        let more: u64 = self.splices.iter().map(|splice| len(&splice.with)).sum();
        let less: u64 = self.splices.iter().map(|splice| splice.range.len() as u64).sum();
        SizeHint::with_exact((cut + pieces + rest + more).saturating_sub(less))
    }
}
