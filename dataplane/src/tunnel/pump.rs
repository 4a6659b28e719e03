//! Moves bytes both ways until something ends it.

use super::ending::Over;
use super::session::{Place, Session};
use crate::format::Seen;
use bytes::{Buf, BytesMut};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, Sleep};

/// Most bytes that one read takes.
const READ: usize = 8 << 10;
/// Most bytes that wait for one side to take them; and of a message that waits for its end.
pub(super) const HELD: usize = 64 << 10;
/// How long the closing of the connection may take behind a Close frame.
pub(super) const CLOSING: Duration = Duration::from_secs(10);
/// A timer that no session outlives unnoticed: it is armed anew.
const FAR: Duration = Duration::from_hours(24 * 30);

/// What bounds a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The longest silence of both sides.
    pub(super) idle: Option<Duration>,
    /// When it must be over.
    pub(super) deadline: Option<Instant>,
    /// How long the client may take none of the bytes that wait for it.
    pub(super) write_stall: Duration,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    /// Read, and held until its message is over.
    input: BytesMut,
    /// For the other side.
    output: BytesMut,
    must_flush: bool,
    /// Nobody takes the output any more.
    broken: bool,
}

impl Lane {
    fn has_room(&self) -> bool {
        self.input.len() + self.output.len() < HELD
    }

    fn make_room(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 2 * READ {
            self.input = BytesMut::new();
        }
        self.input.reserve(READ);
    }

    /// Lets the first `count` bytes of the input go.
    fn release(&mut self, count: usize) {
        let released = self.input.split_to(count);
        if self.broken {
            return;
        }
        if self.output.is_empty() {
            self.output = released;
        } else {
            self.output.extend_from_slice(&released);
        }
    }

    fn is_through(&self) -> bool {
        self.output.is_empty() && !self.must_flush
    }

    /// Takes note of what [`put`] did. False: nobody takes anything any more.
    fn was_put(&mut self, put: &io::Result<usize>) -> bool {
        match put {
            Ok(_) if self.output.is_empty() => self.must_flush = false,
            Ok(count @ 1..) => {
                self.output.advance(*count);
                self.must_flush = true;
                if self.output.is_empty() {
                    // Gives its room back to the input.
                    self.output = BytesMut::new();
                }
            }
            Ok(0) | Err(_) => {
                self.broken = true;
                self.must_flush = false;
                self.output.clear();
            }
        }
        !self.broken
    }
}

/// Writes some of `output`, or flushes where there is none. Cancel-safe.
async fn put(to: &mut (impl AsyncWrite + Unpin), output: &[u8]) -> io::Result<usize> {
    if output.is_empty() { to.flush().await.map(|()| 0) } else { to.write(output).await }
}

/// What `future` gives without a wait. Cancel-safe if `future` is.
async fn at_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    tokio::select! {
        biased;
        given = future => Some(given),
        () = std::future::ready(()) => None,
    }
}

/// What a client did that takes nothing any more. Its socket has the same bound as the session, and whichever comes first tells the same.
fn left(put: &io::Result<usize>) -> Over {
    match put {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Over::ClientStalled,
        _ => Over::ClientGone,
    }
}

/// A session between two connections.
pub(super) struct Pump<C, U> {
    client: (ReadHalf<C>, WriteHalf<C>),
    upstream: (ReadHalf<U>, WriteHalf<U>),
    up: Lane,
    down: Lane,
    /// Where the bytes end that the client has or will have.
    place: Place,
    pub(super) session: Session,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    bounds: Bounds,
    /// When a byte last moved.
    last: Instant,
    /// When the client last took something, or had taken all.
    taken: Instant,
    closing: Option<Instant>,
}

impl<C, U> Pump<C, U>
where
    C: AsyncRead + AsyncWrite,
    U: AsyncRead + AsyncWrite,
{
    /// Nothing has passed yet.
    pub(super) fn new(client: C, upstream: U, bounds: Bounds) -> Self {
        let now = Instant::now();
        Self {
            client: tokio::io::split(client),
            upstream: tokio::io::split(upstream),
            up: Lane::default(),
            down: Lane::default(),
            place: Place::Messages,
            session: Session::new(),
            bytes_in: 0,
            bytes_out: 0,
            bounds,
            last: now,
            taken: now,
            closing: None,
        }
    }

    /// Relays until it is over. `stop` ends it from outside; `on_usage` is told what it cost so far, each time when that is more. What the one side
    /// sent before it left goes to the other first.
    pub(super) async fn run(&mut self, stop: impl Future<Output = Over>, mut on_usage: impl FnMut(&Seen)) -> Over {
        let timer = tokio::time::sleep_until(self.next_deadline());
        tokio::pin!(stop, timer);
        let (mut client_left, mut upstream_left) = (None, None);
        loop {
            if let Some(over) = self.is_done(client_left, upstream_left) {
                return over;
            }
            self.arm(timer.as_mut());
            self.up.make_room();
            self.down.make_room();
            let listens = client_left.is_none() && upstream_left.is_none();
            tokio::select! {
                over = &mut stop => return over,
                () = &mut timer => if let Some(over) = self.time_is_up() {
                    return over;
                },
                read = self.client.0.read_buf(&mut self.up.input), if listens && self.up.has_room() => match read {
                    Ok(count @ 1..) => self.client_sent(count),
                    Ok(0) | Err(_) => client_left = Some(Over::ClientGone),
                },
                read = self.upstream.0.read_buf(&mut self.down.input), if upstream_left.is_none() && self.down.has_room() => {
                    match read {
                        Ok(count @ 1..) => {
                            let before = self.session.seen();
                            self.upstream_sent(count);
                            let seen = self.session.seen();
                            if seen != before {
                                on_usage(&seen);
                                // What this ended must not be left to the draw of what comes next.
                                if let Some(over) = at_once(stop.as_mut()).await {
                                    return over;
                                }
                            }
                        }
                        Ok(0) => upstream_left = Some(Over::UpstreamEnd),
                        Err(_) => upstream_left = Some(Over::UpstreamReset),
                    }
                },
                done = put(&mut self.client.1, &self.down.output), if !self.down.is_through() => {
                    self.last = Instant::now();
                    self.taken = self.last;
                    if !self.down.was_put(&done) {
                        return left(&done);
                    }
                },
                // What an upstream that takes nothing any more still says is worth reading.
                done = put(&mut self.upstream.1, &self.up.output), if !self.up.is_through() => {
                    self.last = Instant::now();
                    self.up.was_put(&done);
                },
            }
        }
    }

    fn is_done(&self, client_left: Option<Over>, upstream_left: Option<Over>) -> Option<Over> {
        // Without a Close frame nobody waits for what a client that is gone said.
        let up_is_through = self.up.is_through() || self.session.close.is_none();
        client_left.filter(|_| up_is_through).or(upstream_left.filter(|_| self.down.is_through()))
    }

    fn client_sent(&mut self, count: usize) {
        self.last = Instant::now();
        self.bytes_in += count as u64;
        self.session.client_sends(&self.up.input);
        self.up.release(self.up.input.len());
        self.note_close();
    }

    /// `count` bytes came last.
    fn upstream_sent(&mut self, count: usize) {
        self.last = Instant::now();
        if self.down.is_through() {
            self.taken = self.last;
        }
        let all = self.down.input.len();
        let new = all - count;
        if let Some((end, place)) = self.session.server_sends(&self.down.input[new..], self.place) {
            self.place = place;
            self.let_down(new + end);
        }
        if self.down.input.len() >= HELD {
            self.let_down(self.down.input.len());
            self.place = self.session.server_place();
        }
        self.note_close();
    }

    fn let_down(&mut self, count: usize) {
        self.bytes_out += count as u64;
        self.down.release(count);
    }

    fn note_close(&mut self) {
        if self.session.close.is_some() && self.closing.is_none() {
            self.closing = Some(self.last + CLOSING);
        }
    }

    fn stalled_at(&self) -> Option<Instant> {
        (!self.down.is_through()).then(|| self.taken + self.bounds.write_stall)
    }

    fn next_deadline(&self) -> Instant {
        let idle = self.bounds.idle.and_then(|idle| self.last.checked_add(idle));
        let all = [idle, self.bounds.deadline, self.closing, self.stalled_at()];
        all.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + FAR)
    }

    /// Arms the timer where it would ring too late; one that rings too early is armed anew then.
    fn arm(&self, timer: Pin<&mut Sleep>) {
        let next = self.next_deadline();
        if next < timer.deadline() || timer.is_elapsed() {
            timer.reset(next);
        }
    }

    fn time_is_up(&self) -> Option<Over> {
        let now = Instant::now();
        let is_over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let idle = self.bounds.idle.and_then(|idle| self.last.checked_add(idle));
        if is_over(self.bounds.deadline) {
            Some(Over::Total)
        } else if is_over(self.closing) {
            Some(Over::Lingering)
        } else if is_over(self.stalled_at()) {
            Some(Over::ClientStalled)
        } else {
            is_over(idle).then_some(Over::Idle)
        }
    }
}

/// How long the last words may take to be written, and how long the client then has to close. Together less than the time that the process has
/// for them when it drains.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

impl<C, U> Pump<C, U>
where
    C: AsyncRead + AsyncWrite,
    U: AsyncRead + AsyncWrite,
{
    /// Where the bytes end that the client has or gets.
    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Leaves the upstream, writes what waits for the client and then `farewell`, and closes the way to it.
    pub(super) async fn take_leave(self, farewell: &[u8]) -> Leaving<C> {
        let Self { client: (unread, mut client), mut down, upstream, .. } = self;
        drop(upstream);
        down.output.extend_from_slice(farewell);
        let words = async {
            client.write_all(&down.output).await?;
            client.shutdown().await
        };
        // Whoever does not take it in time is not told.
        let _ = tokio::time::timeout(LAST_WORDS, words).await;
        Leaving(unread)
    }
}

/// A client that was told all, and may still send.
pub(super) struct Leaving<C>(ReadHalf<C>);

impl<C: AsyncRead> Leaving<C> {
    /// Reads on, within bounds, until the client closes: a connection that is closed with bytes unread is reset, and its client may lose what it
    /// was told last.
    pub(super) async fn linger(mut self) {
        let mut unread = BytesMut::with_capacity(READ);
        let reading = async {
            while let Ok(1..) = self.0.read_buf(&mut unread).await {
                unread.clear();
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, reading).await;
    }
}
