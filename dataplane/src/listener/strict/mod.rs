//! Stands between a client's connection and hyper's HTTP/1.1, and lets pass what no two readers can take for different requests.
//!
//! hyper is lenient where RFC 9112 allows it (a bare LF, a length beside chunks, spaces behind a chunk's size), and what it has parsed does not
//! show it any more. So every byte of a head, of the lines between chunks and of trailers is judged here first, by [`Framing`]; a head is let pass
//! only when it is whole. Bodies pass as they come.
//!
//! At the first broken rule in a head, hyper gets a small request of the guard's own in its place, which the service answers with what the
//! [`Link`] says: the answers to earlier requests go out first, then that one, then the connection is closed. Inside a body, reading fails.
//! Nothing behind a broken rule is ever read as HTTP.

mod chunks;
mod fields;
mod framing;
mod head;
mod link;
mod target;
#[cfg(test)]
mod tests;
mod violation;

pub(super) use framing::Refused;
pub(super) use head::FIELDS_MAX;
pub(super) use link::Link;
pub(super) use target::{is_host, is_same};
pub(super) use violation::Violation;

use framing::{Fault, Framing};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a connection that was refused may stay after its answer: closed at once, it would be reset by what the client still sends, and the
/// answer with it.
const LINGER: Duration = Duration::from_secs(2);
/// How much is read and forgotten in that time.
const LINGER_BYTES: usize = 256 * 1024;

/// A connection of which only what is framed beyond doubt is read.
pub(super) struct Guard<S> {
    io: S,
    framing: Framing,
    link: Arc<Link>,
    /// Read already: `ready` bytes that may pass, then those that wait for more. Never more than the longest head, or line, and one read.
    held: Vec<u8>,
    ready: usize,
    mode: Mode,
    /// Something came behind a request to upgrade, before its answer. It was thrown away.
    is_early: bool,
    timer: Timer,
    lingered: usize,
    is_shut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Follow,
    /// The stand-in is all that still comes.
    Refused,
    /// Reading fails.
    Broken,
    /// Not HTTP any more.
    Tunnel,
}

impl<S> Guard<S> {
    /// `first`: until when the first head must be whole. `head`: how long each further one may take from its first byte on.
    pub(super) fn new(io: S, link: Arc<Link>, first: Instant, head: Duration) -> Self {
        Self {
            io,
            framing: Framing::default(),
            link,
            held: Vec::new(),
            ready: 0,
            mode: Mode::Follow,
            is_early: false,
            timer: Timer { deadline: Some(first), head, sleep: None },
            lingered: 0,
            is_shut: false,
        }
    }

    /// Moves bytes that may pass to where they are wanted.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let bytes = self.ready.min(buf.remaining());
        buf.put_slice(&self.held[..bytes]);
        self.held.drain(..bytes);
        self.ready -= bytes;
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }

    /// Judges what was read behind `start`; leaves there what may pass at once.
    fn judge(&mut self, buf: &mut ReadBuf<'_>, start: usize) {
        let fault = if self.held.is_empty() {
            let passed = self.framing.pass(&buf.filled()[start..]);
            self.held.extend_from_slice(&buf.filled()[start + passed.bytes..]);
            buf.set_filled(start + passed.bytes);
            passed.fault
        } else {
            self.held.extend_from_slice(&buf.filled()[start..]);
            buf.set_filled(start);
            let passed = self.framing.pass(&self.held);
            self.ready = passed.bytes;
            passed.fault
        };
        match fault {
            Some(Fault::Head(refused)) => self.refuse(refused),
            Some(Fault::Body(_)) => {
                self.held.truncate(self.ready);
                self.mode = Mode::Broken;
                self.link.break_off();
            }
            None if self.framing.waits_for_answer().is_some() && self.held.len() > self.ready => {
                self.held.truncate(self.ready);
                self.is_early = true;
            }
            None => {}
        }
        self.timer.follow(self.framing.is_in_head(), self.held.len() > self.ready);
    }

    fn refuse(&mut self, refused: Refused) {
        let stand_in = self.link.refuse(refused);
        self.held.truncate(self.ready);
        self.held.extend_from_slice(stand_in);
        self.ready = self.held.len();
        self.mode = Mode::Refused;
    }

    /// Goes on when the request to upgrade is refused. Whether its answer is still waited for.
    fn waits_for_answer(&mut self) -> bool {
        let Some(upgrades) = self.framing.waits_for_answer() else { return false };
        if self.link.answers() < upgrades || self.link.is_tunnel() {
            return true;
        }
        if self.is_early {
            self.refuse(self.framing.refused(Violation::BehindUpgrade, &[]));
        } else {
            self.framing.goes_on();
        }
        false
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Steps aside right before the word that the upgrade is accepted goes out, if nothing came until now.
    fn step_aside(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let is_accepted =
            self.mode == Mode::Follow && self.link.is_tunnel() && self.framing.waits_for_answer().is_some();
        if !is_accepted {
            return Ok(());
        }
        let mut scratch = [0; 1];
        let mut buf = ReadBuf::new(&mut scratch);
        let came = Pin::new(&mut self.io).poll_read(cx, &mut buf).is_ready();
        if came || self.is_early {
            self.mode = Mode::Broken;
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.mode = Mode::Tunnel;
        Ok(())
    }

    fn poll_follow(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        loop {
            if self.ready > 0 {
                self.give(buf);
                return Poll::Ready(Ok(()));
            }
            let waits = self.mode == Mode::Follow && self.waits_for_answer();
            match self.mode {
                Mode::Tunnel => return Pin::new(&mut self.io).poll_read(cx, buf),
                Mode::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                // hyper closes behind the answer to the stand-in; the end of the client's bytes would make it close before.
                Mode::Refused if self.ready == 0 => return Poll::Pending,
                Mode::Refused => continue,
                Mode::Follow => {}
            }
            if waits && self.is_early {
                return Poll::Pending;
            }
            match Pin::new(&mut self.io).poll_read(cx, buf) {
                Poll::Pending => {
                    ready!(self.timer.poll(cx));
                    if self.held.is_empty() {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    self.refuse(self.framing.refused(Violation::HeadTooSlow, &self.held));
                    continue;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            if buf.filled().len() == start {
                return Poll::Ready(Ok(()));
            }
            self.judge(buf, start);
            if buf.filled().len() > start {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_follow(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.step_aside(cx)?;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            self.is_shut = true;
            self.timer.deadline = Some(Instant::now() + LINGER);
        }
        if !matches!(self.mode, Mode::Refused | Mode::Broken) {
            return Poll::Ready(Ok(()));
        }
        let mut scratch = [0; 4096];
        while self.lingered < LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => self.lingered += buf.filled().len(),
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(self.timer.poll(cx));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.step_aside(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
}

/// Until when a head must be whole. Most come in one piece, and need no timer.
struct Timer {
    deadline: Option<Instant>,
    head: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Begins with a head's first byte, ends with its last.
    fn follow(&mut self, is_in_head: bool, has_begun: bool) {
        match (is_in_head && has_begun, self.deadline) {
            (true, None) => self.deadline = Some(Instant::now() + self.head),
            (false, _) => (self.deadline, self.sleep) = (None, None),
            (true, Some(_)) => {}
        }
    }

    /// Ready when the time is over. Never, where there is no deadline.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}
