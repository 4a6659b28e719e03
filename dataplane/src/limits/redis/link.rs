//! The connection to Redis: one at a time, made and replaced in the background.

use super::address::Target;
use super::connect::{Connection, connect, timed_out};
use super::scripts::{Scripts, run};
use super::sick::Sick;
use ::redis::{Cmd, FromRedisValue, RedisResult, ToRedisArgs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::sleep;

#[cfg(test)]
pub(in crate::limits::redis) mod tests;

/// Commands that may wait for their answers on one connection.
pub(super) const IN_FLIGHT: usize = 1024;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// A quarter of a second, so that the way back to shared limits takes less than one.
const BACKOFF_MAX: Duration = Duration::from_millis(250);

/// How the attempts to connect stand.
#[derive(Clone)]
pub(in crate::limits) enum State {
    /// The first one is under way, or the first one after a loss.
    Connecting,
    /// There is a connection, and it has answered.
    Up(Arc<Link>),
    /// The last attempt failed; the next one follows.
    Down(Sick),
}

/// A connection that answered at least once.
pub(in crate::limits) struct Link {
    connection: Connection,
    places: Semaphore,
    /// Places of commands that nobody waits for any more but that Redis has not answered either, as far as is known.
    abandoned: AtomicUsize,
    /// Decisions in a row that it failed.
    pub(super) misses: AtomicU32,
    /// It has carried decisions: if it is lost, the next one is made without delay.
    pub(super) proven: AtomicBool,
    broken: Notify,
}

impl Link {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            places: Semaphore::new(IN_FLIGHT),
            abandoned: AtomicUsize::new(0),
            misses: AtomicU32::new(0),
            proven: AtomicBool::new(false),
            broken: Notify::new(),
        }
    }

    /// Runs the script of the limits: one round trip, two when Redis has lost the script.
    ///
    /// Waits while [`IN_FLIGHT`] commands are unanswered. Cancel-safe: the command of a dropped call keeps its place until Redis has answered
    /// something again, so that a hung connection never holds more than that many.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        scripts: &Scripts,
        keys: &[impl ToRedisArgs],
        arguments: impl Fn(&mut Cmd),
    ) -> RedisResult<T> {
        self.placed(run(&self.connection, &scripts.limits, keys, arguments)).await
    }

    /// As [`Scripts::beat`], with the same bounds as [`call`](Self::call).
    pub(super) async fn beat(&self, scripts: &Scripts, ttl: Duration) -> RedisResult<u32> {
        self.placed(scripts.beat(&self.connection, ttl)).await
    }

    async fn placed<T>(&self, command: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        let Ok(permit) = self.places.acquire().await else { return Err(timed_out()) };
        let mut place = Place { link: self, permit: Some(permit) };
        let reply = command.await;
        place.give_back();
        reply
    }

    /// Whether it leads to several servers: one of them may be gone while the others are well, and the client itself goes where the keys are then.
    pub(in crate::limits) fn is_cluster(&self) -> bool {
        matches!(self.connection, Connection::Cluster(_))
    }

    /// Asks for another connection in place of this one.
    pub(in crate::limits) fn give_up(&self) {
        self.broken.notify_one();
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
        // Redis answers in order, so that those before this one are answered, too. (In a cluster that is so of each node: there a node that hangs
        // may hold more, up to what its socket takes, while others answer.)
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
pub(super) async fn supervise(target: Target, scripts: Arc<Scripts>, state: watch::Sender<State>) {
    let redis = target.describe();
    let mut backoff = BACKOFF_MIN;
    let mut told = None;
    loop {
        match connect(&target, &scripts).await {
            Ok(connection) => {
                tracing::info!(%redis, "connected to Redis");
                told = None;
                let link = Arc::new(Link::new(connection));
                state.send_replace(State::Up(Arc::clone(&link)));
                link.broken.notified().await;
                tracing::warn!(%redis, "the connection to Redis failed: making a new one");
                state.send_replace(State::Connecting);
                if link.proven.load(Relaxed) {
                    backoff = BACKOFF_MIN;
                    continue;
                }
            }
            Err(error) => {
                let sick = Sick::of(&error);
                if told != Some(sick) {
                    // Text of errors stays out of the log: Redis quotes arguments.
                    tracing::warn!(%redis, reason = sick.text(), "no connection to Redis: trying again");
                    told = Some(sick);
                }
                state.send_replace(State::Down(sick));
            }
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}
