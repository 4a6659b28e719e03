//! The connection to Redis: one at a time, made and replaced in the background.

use super::super::gcra::Rule;
use super::circuit::{Circuit, MISSES};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, Script};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::{sleep, timeout};

#[cfg(test)]
mod tests;

/// Commands that may wait for their answers on one connection.
pub(super) const IN_FLIGHT: usize = 1024;
/// How long an attempt to connect may take, with the handshake.
const CONNECT: Duration = Duration::from_secs(1);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Half a second, so that the way back to shared limits takes less than one.
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// What decisions see of the connection.
pub(super) enum State {
    /// The first attempt is under way, or the first one after a loss: worth waiting for within a decision's budget.
    Connecting,
    /// There is one, and it answered.
    Up(Arc<Link>),
    /// The last attempt failed; the next one follows.
    Down,
}

/// A connection that answered at least once.
pub(super) struct Link {
    connection: MultiplexedConnection,
    places: Semaphore,
    /// Places of commands that nobody waits for any more but that Redis has not answered either, as far as is known.
    abandoned: AtomicUsize,
    /// Timeouts and errors in a row.
    failures: AtomicU32,
    /// It has carried a decision: if it is lost, the next one is made without delay.
    proven: AtomicBool,
    broken: Notify,
}

impl Link {
    fn new(connection: MultiplexedConnection) -> Self {
        Self {
            connection,
            places: Semaphore::new(IN_FLIGHT),
            abandoned: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            proven: AtomicBool::new(false),
            broken: Notify::new(),
        }
    }

    /// Runs the script: one round trip, three when Redis has lost the script.
    ///
    /// Waits while [`IN_FLIGHT`] commands are unanswered. Cancel-safe: the command of a dropped call keeps its place until Redis has
    /// answered something again, so that a hung connection never holds more than that many.
    pub(super) async fn call(&self, script: &Script, key: &str, rule: Rule) -> RedisResult<(bool, u64, u64)> {
        let Ok(permit) = self.places.acquire().await else { return Err(closed()) };
        let mut place = Place { link: self, permit: Some(permit) };
        let mut invocation = script.key(key);
        invocation.arg(rule.amount()).arg(rule.period()).arg(rule.burst());
        let reply = invocation.invoke_async(&mut self.connection.clone()).await;
        place.give_back();
        reply
    }

    /// A decision came out of it.
    pub(super) fn answered(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        if !self.proven.load(Relaxed) {
            self.proven.store(true, Relaxed);
        }
    }

    /// It answered with an error, or broke.
    pub(super) fn failed(&self, error: &RedisError) {
        // Text of errors stays out of the log: Redis quotes arguments.
        tracing::debug!(kind = ?error.kind(), code = error.code(), "a call to Redis failed");
        if error.is_unrecoverable_error() {
            self.broken.notify_one();
        }
        self.missed();
    }

    /// It did not answer in time. Often in a row: what waits on it is stale, and a new connection may lead to a sound server.
    pub(super) fn missed(&self) {
        if self.failures.fetch_add(1, Relaxed) + 1 >= MISSES {
            self.broken.notify_one();
        }
    }
}

/// A command's place among those that wait for an answer.
struct Place<'a> {
    link: &'a Link,
    permit: Option<SemaphorePermit<'a>>,
}

impl Place<'_> {
    fn give_back(&mut self) {
        self.permit = None;
        // Redis answers in order, so that those before this one are answered, too.
        if self.link.abandoned.load(Relaxed) != 0 {
            self.link.places.add_permits(self.link.abandoned.swap(0, Relaxed));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.forget();
            self.link.abandoned.fetch_add(1, Relaxed);
        }
    }
}

/// Keeps a connection up, for as long as somebody wants it.
pub(super) async fn supervise(client: Client, script: Script, state: watch::Sender<State>, circuit: Arc<Circuit>) {
    // Host and port, or the path of the socket; never user and password.
    let address = client.get_connection_info().addr().to_string();
    let mut backoff = BACKOFF_MIN;
    let mut well = true;
    loop {
        match connect(&client, &script).await {
            Ok(connection) => {
                tracing::info!(%address, "connected to Redis");
                well = true;
                let link = Arc::new(Link::new(connection));
                circuit.probe_soon();
                state.send_replace(State::Up(link.clone()));
                link.broken.notified().await;
                tracing::warn!(%address, "the connection to Redis failed: making a new one");
                if link.proven.load(Relaxed) {
                    backoff = BACKOFF_MIN;
                    state.send_replace(State::Connecting);
                    continue;
                }
            }
            Err(error) if well => {
                well = false;
                tracing::warn!(%address, kind = ?error.kind(), code = error.code(), "no connection to Redis: trying again");
            }
            Err(_) => {}
        }
        state.send_replace(State::Down);
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// A connection that has answered: to the handshake, and to loading the script, which spares the first decision two round trips.
async fn connect(client: &Client, script: &Script) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        // Decisions and attempts have their own.
        .set_response_timeout(None)
        .set_connection_timeout(None)
        .set_pipeline_buffer_size(IN_FLIGHT);
    let attempt = async {
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        script.prepare_invoke().load_async(&mut connection).await?;
        Ok(connection)
    };
    timeout(CONNECT, attempt).await.unwrap_or_else(|_| Err(closed()))
}

fn closed() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
