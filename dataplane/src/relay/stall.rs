//! Knows whose move it is in a stream, and ends HTTP/2 streams whose client does not read.
//!
//! Flow control stalls one stream and leaves the connection well: hyper waits for room in the client's window, does not poll the body meanwhile, and
//! would hold the upstream for ever. The task of a stream is the one place that sees that its body waits, and dropping it resets the stream and
//! cancels the upstream. On HTTP/1.1 a stream is its connection, whose socket has a bound of its own, and says so here when that is over.

use super::deadline::Alarm;
use super::ending::Stop;
use super::leash::Leash;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::Instant;

/// How long a piece of an answer may wait for its client.
pub const WRITE_STALL: Duration = Duration::from_mins(1);
/// How fast a client reads at least, in bytes per second: that of speech at 64 kbit/s. It tells of what it read only when it has read half of its
/// window, of 2 MiB and more in common libraries; so what it was given before the wait buys it more time, at this rate.
const SLOWEST: u64 = 8 * 1024;
/// The longest wait that can be bought.
const LONGEST: Duration = Duration::from_mins(4);
/// The largest piece that is given to HTTP/2 at once, in bytes: a client that takes one in [`WRITE_STALL`] is slow and not stalled. That of a frame
/// (RFC 9113, section 4.2).
pub(super) const MAX_PIECE: usize = 16 * 1024;

tokio::task_local! {
    static TURN: Arc<Turn>;
}

/// Whose move it is in one stream: the client's while a piece waits for it. On HTTP/1.1 it is of a connection, whose streams follow each other.
#[derive(Debug, Default)]
pub struct Turn {
    /// The number of moves. Odd: the client's.
    moves: AtomicU32,
    /// How many bytes were given out.
    given: AtomicU64,
    stalled: AtomicBool,
    is_http2: bool,
    /// Of the stream that is under way.
    leash: Mutex<Option<Leash>>,
}

impl Turn {
    /// That of the HTTP/2 stream or of the HTTP/1.1 connection whose task this is.
    pub(super) fn of_task() -> Option<Arc<Self>> {
        TURN.try_with(Arc::clone).ok()
    }

    /// Runs a connection of HTTP/1.1, whose streams take this turn. Cancel-safe if `connection` is.
    pub fn over_http1<F: Future>(self: Arc<Self>, connection: F) -> TaskLocalFuture<Arc<Self>, F> {
        TURN.scope(self, connection)
    }

    /// Whether it is that of one HTTP/2 stream.
    pub(super) const fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// The client took nothing for too long: its stream ends for that.
    pub fn stall(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    fn leash(&self) -> MutexGuard<'_, Option<Leash>> {
        // No invariant spans the lock: a panic inside leaves a whole leash.
        self.leash.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream begins, and must end by this.
    pub(super) fn begin(&self, leash: Leash) {
        *self.leash() = Some(leash);
    }

    /// The end of that stream is decided.
    pub(super) fn end(&self) {
        *self.leash() = None;
    }

    /// What broke that stream off though its client had not read on.
    pub(super) fn broken_by(&self) -> Option<Stop> {
        self.leash().as_ref().and_then(Leash::broken_by)
    }

    /// Ready when the stream under way must be dropped: it should have ended, and its client does not read. To be called by the task of the stream
    /// behind the stream itself, whenever the task is woken.
    fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.moves.load(Ordering::Relaxed) & 1 == 0 {
            return Poll::Pending;
        }
        self.leash().as_mut().map_or(Poll::Pending, |leash| leash.poll(cx))
    }

    /// Waits until the stream under way on this connection must be dropped, and the connection with it: it should have ended (drain, suspension,
    /// total time), and its client does not read. To be polled by the task of the connection, behind the connection. Cancel-safe.
    pub async fn broken(&self) {
        poll_fn(|cx| self.poll_broken(cx)).await;
    }

    /// A piece of so many bytes was given out.
    pub(super) fn offer(&self, bytes: usize) {
        self.given.fetch_add(bytes as u64, Ordering::Relaxed);
        let moves = self.moves.load(Ordering::Relaxed);
        // Also behind an offer: another piece, another minute.
        self.moves.store(moves.wrapping_add(if moves & 1 == 0 { 1 } else { 2 }), Ordering::Relaxed);
    }

    /// The client has room, and there is nothing for it.
    pub(super) fn wait(&self) {
        let moves = self.moves.load(Ordering::Relaxed);
        if moves & 1 == 1 {
            self.moves.store(moves.wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Whether the stream ends because its client did not read.
    pub fn has_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }
}

/// Runs the tasks of HTTP/2 streams, and ends those whose client takes nothing for too long.
#[derive(Clone, Copy, Debug)]
pub struct StreamTasks {
    write_stall: Duration,
}

impl StreamTasks {
    /// Ends a stream when a piece waited for its client for `write_stall`, and up to four minutes longer by what the client was given before.
    pub const fn new(write_stall: Duration) -> Self {
        Self { write_stall }
    }
}

impl Default for StreamTasks {
    fn default() -> Self {
        Self::new(WRITE_STALL)
    }
}

impl<F> hyper::rt::Executor<F> for StreamTasks
where
    F: Future + Send + 'static,
{
    fn execute(&self, stream: F) {
        let turn = Arc::new(Turn { is_http2: true, ..Turn::default() });
        // Boxed: a task that holds it would hold room for two, one of them moved from.
        let stream = Box::pin(TURN.scope(Arc::clone(&turn), stream));
        let (write_stall, until) = (self.write_stall, Instant::now());
        tokio::spawn(Supervised { stream, turn, write_stall, seen: 0, given: 0, until, alarm: Alarm::default() });
    }
}

struct Supervised<F: Future> {
    stream: Pin<Box<TaskLocalFuture<Arc<Turn>, F>>>,
    turn: Arc<Turn>,
    write_stall: Duration,
    /// The move that it waits for, and until when.
    seen: u32,
    /// How much was given out when it began to wait for that.
    given: u64,
    until: Instant,
    alarm: Alarm,
}

impl<F: Future> Future for Supervised<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let moves = this.turn.moves.load(Ordering::Relaxed);
        if moves & 1 == 0 {
            return Poll::Pending;
        }
        if this.turn.poll_broken(cx).is_ready() {
            return Poll::Ready(());
        }
        if moves != this.seen {
            this.seen = moves;
            let given = this.turn.given.load(Ordering::Relaxed);
            let bought = Duration::from_secs((given - this.given) / SLOWEST);
            this.given = given;
            // A moment that was bought stays: the window that it was bought for is still being read.
            this.until = this.until.max(Instant::now() + this.write_stall + bought.min(LONGEST));
        }
        if !this.alarm.rings(this.until, cx) {
            return Poll::Pending;
        }
        this.turn.stall();
        Poll::Ready(())
    }
}
