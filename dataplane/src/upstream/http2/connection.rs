//! One HTTP/2 connection: the task that drives it, and the places for streams on it.

use super::AHEAD;
use crate::upstream::connector::Stream;
use crate::upstream::{UpstreamError, pool::IDLE};
use bytes::Bytes;
use futures::FutureExt;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

/// How many streams the relay puts on one connection, where the other side allows as many. 100 is what RFC 9113, section 6.5.2, names as the least
/// that a server should allow, and what most do.
pub(super) const MAX_STREAMS: usize = 100;
/// Stands for a limit that the other side has not told yet: no server asks for just this many.
const UNTOLD: usize = MAX_STREAMS + 1;
/// [`AHEAD`] of one answer: at a round trip of 100 ms still 1.3 MB a second.
#[expect(clippy::cast_possible_truncation, reason = "128 KiB")]
const STREAM_WINDOW: u32 = AHEAD as u32;
/// As much as all streams together, so that clients that do not read never stop the others of the connection. A smaller window is used up by a few of
/// them. What it costs is bounded by the streams, whatever it is.
#[expect(clippy::cast_possible_truncation, reason = "100 streams")]
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;
/// How much of a request waits in memory beside its body.
const SEND_BUFFER: usize = 64 << 10;
/// How long an answer's headers may be together.
const MAX_HEADER_LIST: u32 = 32 << 10;
/// How often a connection with streams is asked whether it is alive, and how long it has to answer.
const PING: Duration = Duration::from_secs(20);
/// How old a connection may be to take new streams, so that changes of DNS are seen.
const MAX_AGE: Duration = Duration::from_mins(10);

/// A connection that takes streams. When it is dropped, its streams go on, and the connection closes behind the last.
pub(super) struct Shared {
    sender: SendRequest<Bytes>,
    state: Arc<State>,
    opened: Instant,
}

/// What the connection's task and its streams know of it.
struct State {
    open: AtomicUsize,
    /// How many streams may be open at once, once the other side has told.
    room: AtomicUsize,
    told: AtomicBool,
    closed: AtomicBool,
    idle_since: Mutex<Instant>,
    /// The lane's: told whenever there may be a place, or none any more.
    changed: Arc<Notify>,
}

impl State {
    fn learn(&self, limit: usize) {
        if limit != UNTOLD {
            self.tell(limit.min(MAX_STREAMS));
        }
    }

    fn tell(&self, room: usize) {
        let before = self.room.swap(room, Ordering::AcqRel);
        if !self.told.swap(true, Ordering::AcqRel) || before < room {
            self.changed.notify_waiters();
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn room(&self) -> usize {
        // One stream goes out at once; the rest wait for the other side's word, which comes within a round trip.
        if self.told.load(Ordering::Acquire) { self.room.load(Ordering::Acquire) } else { 1 }
    }
}

/// Whether a connection can take a stream.
pub(super) enum Offer {
    Place(Place),
    Full,
    /// The other side has not told yet how many it takes.
    Untold,
    /// It takes no more.
    Over,
}

/// The right to open one stream, and the stream's share of the connection as long as it lives.
pub(in crate::upstream) struct Place {
    pub(super) sender: SendRequest<Bytes>,
    state: Arc<State>,
}

impl Place {
    /// An answer came: the other side's settings came before it.
    pub(super) fn answered(&self) {
        if !self.state.told.load(Ordering::Acquire) {
            self.state.tell(self.sender.current_max_send_streams().min(MAX_STREAMS));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Before the count, so that a sweep never takes the connection for one that idles since long.
        *self.state.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.state.open.fetch_sub(1, Ordering::AcqRel);
        self.state.changed.notify_waiters();
    }
}

impl Shared {
    /// Speaks HTTP/2 on a stream whose ALPN says so, and starts its task.
    pub(super) async fn open(stream: Stream, changed: Arc<Notify>) -> Result<Self, UpstreamError> {
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .initial_max_send_streams(UNTOLD)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_send_buffer_size(SEND_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| UpstreamError::of(&error))?;
        let state = Arc::new(State {
            open: AtomicUsize::new(0),
            room: AtomicUsize::new(1),
            told: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
            changed,
        });
        let pings = connection.ping_pong();
        let timer = Box::pin(sleep(PING));
        tokio::spawn(Driver { connection, pings, timer, waits_for_pong: false, state: Arc::clone(&state) });
        Ok(Self { sender, state, opened: Instant::now() })
    }

    /// A place for a stream, if there is one.
    pub(super) fn offer(&mut self) -> Offer {
        if self.is_over() {
            return Offer::Over;
        }
        let room = self.state.room();
        let taken =
            self.state.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| (open < room).then_some(open + 1));
        match taken {
            Ok(_) => Offer::Place(Place { sender: self.sender.clone(), state: Arc::clone(&self.state) }),
            Err(_) if self.state.told.load(Ordering::Acquire) => Offer::Full,
            Err(_) => Offer::Untold,
        }
    }

    /// Whether it takes no further stream: closed, said goodbye (GOAWAY), too old, or idle for too long.
    pub(super) fn is_over(&mut self) -> bool {
        self.state.closed.load(Ordering::Acquire)
            || self.opened.elapsed() > MAX_AGE
            || self.idle().is_some_and(|idle| idle > IDLE)
            // Nothing is pending on this handle: it is ready at once, or the connection is at its end.
            || matches!(self.sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
    }

    /// How long it has no stream.
    pub(super) fn idle(&self) -> Option<Duration> {
        let since = *self.state.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
        (self.state.open.load(Ordering::Acquire) == 0).then(|| since.elapsed())
    }
}

/// The task of a connection. Ends with it, or when it does not answer a ping: its streams then fail as reset.
struct Driver {
    connection: Connection<TokioIo<Stream>, Bytes>,
    pings: Option<PingPong>,
    timer: Pin<Box<Sleep>>,
    waits_for_pong: bool,
    state: Arc<State>,
}

impl Driver {
    /// Whether the other side is silent for too long.
    fn poll_dead(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(pings) = &mut self.pings else { return false };
        loop {
            if self.waits_for_pong {
                match pings.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => {
                        self.waits_for_pong = false;
                        self.timer.as_mut().reset(Instant::now() + PING);
                    }
                    Poll::Ready(Err(_)) => return true,
                    Poll::Pending => {}
                }
            }
            if self.timer.poll_unpin(cx).is_pending() {
                return false;
            }
            if self.waits_for_pong {
                return true;
            }
            // An idle connection is not asked: servers count pings without streams as an attack.
            self.waits_for_pong =
                self.state.open.load(Ordering::Acquire) > 0 && pings.send_ping(Ping::opaque()).is_ok();
            self.timer.as_mut().reset(Instant::now() + PING);
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Before the connection, which then sends the ping in the same turn.
        if self.poll_dead(cx) {
            return Poll::Ready(());
        }
        let ended = self.connection.poll_unpin(cx);
        let limit = self.connection.max_concurrent_send_streams();
        self.state.learn(limit);
        ended.map(|_| ())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.state.close();
    }
}
