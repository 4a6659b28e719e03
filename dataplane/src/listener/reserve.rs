//! Accepts connections also when no descriptor is left.
//!
//! Without one, a connection that waits can be neither accepted nor closed, its client hangs, and the listener is ready for ever: a busy loop. So
//! one descriptor is kept back, and given up to take the connection.

use std::fs::File;
use std::io;
use std::time::Duration;

use futures::FutureExt;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};

/// How long accepting pauses when it failed and nothing could be done: at once it would fail again.
const PAUSE: Duration = Duration::from_millis(50);

/// The descriptor that is kept back.
pub(crate) struct Reserve {
    file: Option<File>,
    has_complained: bool,
}

/// A connection.
pub(crate) enum Arrived {
    /// With a descriptor of its own.
    Freely(TcpStream),
    /// With the one that was kept back: until this is closed, the next one must wait.
    OnReserve(TcpStream),
}

impl Reserve {
    pub(crate) fn new() -> Self {
        Self { file: open(), has_complained: false }
    }

    /// The next connection. Cancel-safe.
    pub(crate) async fn accept(&mut self, listener: &TcpListener) -> Arrived {
        loop {
            if self.file.is_none() {
                self.file = open();
            }
            let error = match listener.accept().await {
                Ok((stream, _)) => {
                    self.has_complained = false;
                    return Arrived::Freely(stream);
                }
                Err(error) => error,
            };
            if is_of_one_connection(&error) {
                continue;
            }
            if !std::mem::replace(&mut self.has_complained, true) {
                tracing::warn!(%error, "could not accept a connection");
            }
            if is_exhausted(&error)
                && self.file.take().is_some()
                && let Some(Ok((stream, _))) = listener.accept().now_or_never()
            {
                return Arrived::OnReserve(stream);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn open() -> Option<File> {
    File::open("/dev/null").ok()
}

/// The client was gone before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
