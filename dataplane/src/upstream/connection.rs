//! One HTTP/1.1 connection to an upstream, driven by whoever waits for its answer.

use super::RequestBody;
use super::connector::Stream;
use super::gate::Gate;
use super::{Failed, UpstreamError};
use bytes::Bytes;
use http::{Request, response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// How often a connection is polled in one turn of its task before other streams of the thread get theirs.
const MAX_ROUNDS: usize = 32;
/// How old a connection may be to serve another request, so that changes of DNS are seen.
const MAX_AGE: Duration = Duration::from_mins(5);

pub(super) struct Connection {
    /// Boxed, since the connection moves with every request, and this is large.
    io: Box<http1::Connection<Stream, RequestBody>>,
    sender: http1::SendRequest<RequestBody>,
    gate: Arc<Gate>,
    waker: Waker,
    /// Woken, or not polled yet, since the last poll.
    due: bool,
    closed: bool,
    opened: Instant,
}

/// The connection ended before what was waited for.
pub(super) struct Closed;

impl Connection {
    pub(super) async fn open(stream: Stream) -> Result<Self, UpstreamError> {
        let (sender, io) = http1::Builder::new().handshake(stream).await?;
        let gate = Arc::new(Gate::default());
        let waker = Waker::from(Arc::clone(&gate));
        Ok(Self { io: Box::new(io), sender, gate, waker, due: true, closed: false, opened: Instant::now() })
    }

    /// Sends a request, drives the connection to the answer's head, and gives it on.
    pub(super) async fn send(
        mut self,
        request: Request<RequestBody>,
    ) -> Result<(response::Parts, Incoming, Self), Failed> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let mut waiting = Driver {
            io: &mut self.io,
            gate: &self.gate,
            waker: &self.waker,
            due: &mut self.due,
            closed: &mut self.closed,
        };
        let outcome = poll_fn(|cx| waiting.drive(cx, |cx| answer.as_mut().poll(cx))).await;
        match outcome {
            Ok(Ok(response)) => {
                let (head, body) = response.into_parts();
                Ok((head, body, self))
            }
            Ok(Err(mut error)) => {
                let unsent = error.take_message().map(Box::new);
                Err(Failed { error: error.into_error().into(), unsent })
            }
            Err(Closed) => Err(Failed { error: UpstreamError::Reset, unsent: None }),
        }
    }

    /// Gives its stream and what was read of it already: behind a 101, which ended HTTP on it. `None`: it broke meanwhile.
    pub(super) async fn into_stream(mut self) -> Option<(Stream, Bytes)> {
        if !self.closed {
            poll_fn(|cx| self.io.poll_without_shutdown(cx)).await.ok()?;
        }
        let http1::Parts { io, read_buf, .. } = self.io.into_parts();
        Some((io, read_buf))
    }

    /// Runs `step` until it is ready; between two tries the connection is polled, but only when it was woken. `step` gets a waker that does
    /// nothing: all progress comes through the connection.
    pub(super) fn drive<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Closed>> {
        Driver { io: &mut self.io, gate: &self.gate, waker: &self.waker, due: &mut self.due, closed: &mut self.closed }
            .drive(cx, step)
    }

    /// Whether it may serve another request. To be asked when an answer is over: one more poll turns a finished connection idle; and before the
    /// next request, since it shows the upstream's close.
    pub(super) fn is_reusable(&mut self) -> bool {
        !self.closed
            && self.opened.elapsed() < MAX_AGE
            && Pin::new(&mut self.io).poll(&mut Context::from_waker(&self.waker)).is_pending()
            && self.sender.is_ready()
    }

    /// Lets go of the task that it served.
    pub(super) fn forget_task(&self) {
        self.gate.forget();
    }
}

/// The parts of a connection that move while something waits for it.
struct Driver<'a> {
    io: &'a mut http1::Connection<Stream, RequestBody>,
    gate: &'a Gate,
    waker: &'a Waker,
    due: &'a mut bool,
    closed: &'a mut bool,
}

impl Driver<'_> {
    fn drive<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut step: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Closed>> {
        *self.due |= self.gate.mute(cx.waker());
        for _ in 0..MAX_ROUNDS {
            if let Poll::Ready(value) = step(&mut Context::from_waker(Waker::noop())) {
                *self.due |= self.gate.unmute();
                return Poll::Ready(Ok(value));
            }
            if *self.closed {
                self.gate.unmute();
                return Poll::Ready(Err(Closed));
            }
            *self.due |= self.gate.take_hit();
            if !*self.due && self.gate.try_unmute() {
                return Poll::Pending;
            }
            *self.due = false;
            self.gate.take_hit();
            // An error of the connection reaches the waiter through `step`, which is tried once more.
            *self.closed = Pin::new(&mut *self.io).poll(&mut Context::from_waker(self.waker)).is_ready();
        }
        *self.due = true;
        self.gate.unmute();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
