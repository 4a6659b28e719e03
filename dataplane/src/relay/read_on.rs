//! Reads an upstream on after its client went away, to learn what the answer cost.

use super::deadline::Deadline;
use super::guard::Source;
use super::stream::Stream;
use crate::reason::StreamEnd;
use std::future::poll_fn;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How many answers are read on at once. A further one is cancelled: clients that leave must not fill the relay with work for nobody.
pub const MAX_READING_ON: usize = 256;
/// How much is read of one answer, in bytes.
pub const MAX_READ_ON: usize = 64 << 20;

static PLACES: Semaphore = Semaphore::const_new(MAX_READING_ON);

/// Reads on in a task of its own for at most `limit`, and ends the exchange then. The drain and the tenant's suspension end it too.
pub(super) fn begin<B: Source>(stream: Box<Stream<B>>, limit: Duration) {
    begin_in(&PLACES, stream, limit);
}

/// [`begin`], with other places.
pub(super) fn begin_in<B: Source>(places: &'static Semaphore, mut stream: Box<Stream<B>>, limit: Duration) {
    // Without a runtime the process is at its end.
    let (Ok(place), Ok(runtime)) = (places.try_acquire(), Handle::try_current()) else {
        stream.take_tail();
        stream.finish(StreamEnd::ClientGone, None);
        return;
    };
    runtime.spawn(async move {
        let _place = place;
        Deadline::after(Instant::now(), Some(limit)).within(read(&mut stream)).await;
        stream.take_tail();
        stream.finish(StreamEnd::ClientGone, None);
    });
}

/// Reads to the end, to what stops it, or to the bound.
pub(super) async fn read<B: Source>(stream: &mut Stream<B>) {
    let mut read = 0;
    while read < MAX_READ_ON
        && let Ok(bytes) = poll_fn(|cx| stream.source.poll(cx)).await
    {
        read += bytes.len();
        stream.pass(bytes);
    }
}
