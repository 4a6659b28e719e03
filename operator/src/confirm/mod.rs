//! Asks every proxy which revision it serves, and whether it shares the limits: one follower a pod, one long poll each, so that the answer comes as soon as the proxy has the set.

mod poll;

use crate::programmed::{Ack, Acks};
use crate::stores::{ProxyPod, Stores};
use poll::{HttpClient, Poll, client, poll};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tracing::debug;

/// First and longest pause after a proxy did not answer.
pub const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A proxy that says the same again sooner than this does not wait as it was asked to; then the follower does.
const TOO_SOON: Duration = Duration::from_millis(50);

/// What the proxies said.
#[derive(Debug, Default)]
pub struct Acknowledged {
    acks: Mutex<Acks>,
    hurry: Notify,
}

impl Acknowledged {
    /// What the pods said last.
    pub fn acks(&self) -> Acks {
        self.lock().clone()
    }

    /// Ends the pauses of all followers: a new set was written. Followers that wait for an answer need no hurry, it comes by itself.
    pub fn hurry(&self) {
        self.hurry.notify_waiters();
    }

    /// Notes an answer, or that there was none; true when it differs from the one before.
    fn note(&self, uid: &str, answer: Option<&Ack>) -> bool {
        let before = self.lock().insert(uid.to_owned(), answer.cloned());
        before.as_ref().map(Option::as_ref) != Some(answer)
    }

    fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, Acks> {
        self.acks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running follower.
struct Follower {
    address: IpAddr,
    task: AbortHandle,
}

/// Follows all proxies of the stores, until it is dropped.
pub async fn follow(stores: Arc<Stores>, acknowledged: Arc<Acknowledged>, port: u16) {
    let client = client();
    let mut tasks = JoinSet::new();
    let mut followers: BTreeMap<String, Follower> = BTreeMap::new();
    loop {
        let pods = stores.proxies.state();
        let wanted: BTreeMap<&str, (IpAddr, &ProxyPod)> =
            pods.values().filter_map(|pod| Some((&*pod.uid, (pod.ip.filter(|_| !pod.terminating)?, &**pod)))).collect();
        followers.retain(|uid, follower| {
            let stays = wanted.get(&**uid).is_some_and(|(address, _)| *address == follower.address);
            if !stays {
                follower.task.abort();
                acknowledged.forget(uid);
            }
            stays
        });
        for (uid, (address, pod)) in wanted {
            if !followers.contains_key(uid) {
                let one = One {
                    client: client.clone(),
                    uid: uid.to_owned(),
                    name: pod.name.clone(),
                    address: SocketAddr::new(address, port),
                    stores: Arc::clone(&stores),
                    acknowledged: Arc::clone(&acknowledged),
                };
                followers.insert(uid.to_owned(), Follower { address, task: tasks.spawn(one.run()) });
            }
        }
        // Ended tasks are those that were aborted.
        while tasks.try_join_next().is_some() {}
        stores.wakes.pods.notified().await;
    }
}

/// A follower of one proxy.
struct One {
    client: HttpClient,
    uid: String,
    name: String,
    address: SocketAddr,
    stores: Arc<Stores>,
    acknowledged: Arc<Acknowledged>,
}

impl One {
    async fn run(self) {
        let mut last: Option<String> = None;
        let mut failures: u32 = 0;
        loop {
            let asked = Instant::now();
            match poll(&self.client, self.address, last.as_deref()).await {
                Poll::Says(ack) => {
                    failures = 0;
                    let same = last.as_ref() == Some(&ack.revision);
                    self.note(Some(&ack));
                    last = Some(ack.revision);
                    if same && asked.elapsed() < TOO_SOON {
                        self.pause(PAUSES.0).await;
                    }
                }
                Poll::Failed(error) => {
                    failures += 1;
                    debug!(proxy = self.name, %error, failures, "the proxy does not tell its revision");
                    // A connection may end at any time. A proxy that can't be asked twice may be another process by now, with another set.
                    if failures >= 2 {
                        self.note(None);
                        last = None;
                        let doublings = (failures - 2).min(5);
                        self.pause((PAUSES.0 * 2_u32.pow(doublings)).min(PAUSES.1)).await;
                    }
                }
            }
        }
    }

    fn note(&self, answer: Option<&Ack>) {
        if self.acknowledged.note(&self.uid, answer) {
            debug!(proxy = self.name, ?answer, "says");
            self.stores.wakes.report.notify_one();
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.acknowledged.hurry.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests;
