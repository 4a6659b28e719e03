//! Decisions by Redis, within a budget.
//!
//! A decision is one `EVALSHA` on a connection that all decisions share. What keeps a sick Redis from making the relay sick:
//!
//! | Redis is            | a decision                                                                                    |
//! |---------------------|-----------------------------------------------------------------------------------------------|
//! | slow or hung        | waits for the budget, then is made here; after 5 misses in a row at once (`circuit.rs`)         |
//! | gone                | is made here at once, from the first failed attempt to connect on (`link.rs`)                  |
//! | connecting          | waits for the connection, within the budget                                                   |
//! | unwilling           | as slow; the answers and what follows from them are in `sick.rs`                               |
//! | emptied             | shared; limits begin anew, the script is loaded again by the decision that misses it           |
//! | back                | made here until a probe has answered in time and Redis knows what it missed, within a second   |

mod address;
mod circuit;
mod connect;
mod link;
mod scripts;
mod sick;

pub(super) use self::circuit::Phase;
pub(super) use self::link::{Link, State};
pub(super) use self::scripts::PRESENT;
pub(super) use self::sick::Sick;

use self::address::Target;
use self::circuit::Circuit;
use self::scripts::Scripts;
use super::account::{Admitted, Call, Id, Limit, Line, Reply, Rule, script};
use super::decision::{StoreCall, StoreResult};
use super::plan::{LineUnit, Used};
use super::{LimiterError, RedisOptions};
use ::redis::Cmd;
use futures::FutureExt;
use relay_snapshot::{ObjectId, RateLimit};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{Instant, timeout, timeout_at};

/// Turns of other tasks that a decision waits for at its deadline: of the runtime's driver, and of the task that reads the connection.
const LAST_TURNS: u32 = 3;

pub(super) struct Redis {
    scripts: Arc<Scripts>,
    pub(super) circuit: Circuit,
    /// How the attempts to connect stand.
    pub(super) links: watch::Receiver<State>,
    /// The longest that one decision waits.
    pub(super) budget: Duration,
    supervisor: AbortHandle,
}

/// What came of a decision.
#[derive(Default)]
pub(super) struct Answer {
    /// `None`: it is to be made here.
    pub(super) admitted: Option<Admitted>,
    /// There when Redis was asked, or waited for.
    pub(super) call: Option<StoreCall>,
    /// There when Redis was asked and did not answer in time.
    pub(super) late: Option<Late>,
}

/// The answer to a decision, when nobody waits for it any more.
pub(super) struct Late(Pin<Box<dyn Future<Output = Result<Vec<i64>, Sick>> + Send>>);

impl Late {
    /// How long it may take. One that takes longer never comes: its connection has been replaced by then.
    pub(super) const PATIENCE: Duration = Duration::from_secs(30);

    /// Whether Redis let the request pass. False, too, if it never says.
    pub(super) async fn admits(self) -> bool {
        timeout(Self::PATIENCE, self.0).await.is_ok_and(|numbers| numbers.is_ok_and(|numbers| script::admits(&numbers)))
    }
}

impl Redis {
    pub(super) fn open(options: &RedisOptions, runtime: &Handle) -> Result<Self, LimiterError> {
        let target = Target::new(options)?;
        let scripts = Arc::new(Scripts::new(script::SOURCE));
        let (sender, links) = watch::channel(State::Connecting);
        let supervisor = runtime.spawn(link::supervise(target, Arc::clone(&scripts), sender)).abort_handle();
        Ok(Self { scripts, circuit: Circuit::new(), links, budget: options.budget, supervisor })
    }

    /// One decision.
    pub(super) async fn admit(&self, tenant: &ObjectId, id: Id, lines: &[Line]) -> Answer {
        if self.circuit.is_open() {
            return Answer::default();
        }
        let (start, mut late) = (Instant::now(), None);
        let asked = self.ask(tenant, id, lines, start + self.budget, &mut late).await;
        let call = |result| Some(StoreCall { result, elapsed: start.elapsed() });
        let (admitted, call) = match asked {
            Ok(admitted) => (Some(admitted), call(StoreResult::Ok)),
            Err(Sick::Slow) => (None, call(StoreResult::Timeout)),
            Err(_) => (None, call(StoreResult::Error)),
        };
        Answer { admitted, call, late }
    }

    async fn ask(
        &self,
        tenant: &ObjectId,
        id: Id,
        lines: &[Line],
        deadline: Instant,
        late: &mut Option<Late>,
    ) -> Result<Admitted, Sick> {
        let link = timeout_at(deadline, self.circuit.link()).await.map_err(|_| Sick::Slow)?.ok_or(Sick::Gone)?;
        let (call, sent) = (Call::Admit { id, lines }, Arc::new(AtomicBool::new(false)));
        let mut numbers = Box::pin(self.send(&link, tenant, &call, Arc::clone(&sent)));
        let answer = if let Some(numbers) = in_time(deadline, &mut numbers).await {
            numbers.and_then(|numbers| read(&call, &numbers))
        } else {
            *late = sent.load(Relaxed).then_some(Late(numbers));
            Err(Sick::Slow)
        };
        match answer {
            Ok(Reply::Admitted(admitted)) => {
                Circuit::hit(&link);
                Ok(admitted)
            }
            Ok(_) => Err(self.missed(&link, Sick::Odd)),
            Err(sick) => Err(self.missed(&link, sick)),
        }
    }

    fn missed(&self, link: &Arc<Link>, sick: Sick) -> Sick {
        self.circuit.miss(link, sick);
        sick
    }

    /// A call of the worker's. One that is late is no miss, for nobody waits for it; a connection that breaks is one.
    pub(super) async fn tell(
        &self,
        link: &Arc<Link>,
        tenant: &ObjectId,
        call: &Call<'_>,
        patience: Duration,
    ) -> Result<Reply, Sick> {
        let reply = timeout(patience, self.run(link, tenant, call)).await.unwrap_or(Err(Sick::Slow));
        if let Err(sick) = reply
            && sick.wants_new_connection()
        {
            self.circuit.miss(link, sick);
        }
        reply
    }

    /// Whether it is well: it counts this proxy, decides, and takes a settle, all in one round trip. How many proxies there are.
    pub(super) async fn probe(&self, link: &Arc<Link>, patience: Duration) -> Result<u32, Sick> {
        // Nobody's account: it costs nothing, and is given back.
        let (nobody, id) = (ObjectId::new("", "probe"), Id(rand::random()));
        let rule = Rule::new(&RateLimit { amount: 1, per_seconds: 1, burst: 1 }).ok_or(Sick::Odd)?;
        let lines = [Line::new("probe".into(), LineUnit::Characters, Limit::Bucket(rule), 0)];
        let admit = Call::Admit { id, lines: &lines };
        let settle = Call::Settle { id, lines: &lines, used: Used::default() };
        let answers = async {
            tokio::try_join!(
                self.beat(link, PRESENT, patience),
                self.run(link, &nobody, &admit),
                self.run(link, &nobody, &settle)
            )
        };
        let (proxies, ..) = timeout(patience, answers).await.map_err(|_| Sick::Slow)??;
        Ok(proxies)
    }

    async fn run(&self, link: &Arc<Link>, tenant: &ObjectId, call: &Call<'_>) -> Result<Reply, Sick> {
        let numbers = self.send(link, tenant, call, Arc::default()).await?;
        read(call, &numbers)
    }

    /// One round trip. `sent` becomes true as soon as Redis may hear of it.
    fn send(
        &self,
        link: &Arc<Link>,
        tenant: &ObjectId,
        call: &Call<'_>,
        sent: Arc<AtomicBool>,
    ) -> impl Future<Output = Result<Vec<i64>, Sick>> + Send + use<> {
        let (link, scripts) = (Arc::clone(link), Arc::clone(&self.scripts));
        let (keys, arguments) = (script::keys(tenant), script::arguments(call, None));
        async move {
            let write = |command: &mut Cmd| {
                sent.store(true, Relaxed);
                command.arg(&arguments);
            };
            link.call(&scripts, &keys, write).await.map_err(|error| told(&error))
        }
    }

    /// Says that this proxy is there, for so long; zero: no more. How many are.
    pub(super) async fn beat(&self, link: &Arc<Link>, ttl: Duration, patience: Duration) -> Result<u32, Sick> {
        let beat = link.beat(&self.scripts, ttl);
        timeout(patience, beat).await.map_err(|_| Sick::Slow)?.map_err(|error| told(&error))
    }
}

/// What is there at the deadline counts, also where the task that reads the connection has not had its turn: a proxy that is short of CPU must not take
/// its own lateness for Redis'.
async fn in_time<T>(deadline: Instant, mut call: impl Future<Output = T> + Unpin) -> Option<T> {
    if let Ok(answer) = timeout_at(deadline, &mut call).await {
        return Some(answer);
    }
    for _ in 0..LAST_TURNS {
        yield_now().await;
        if let Some(answer) = (&mut call).now_or_never() {
            return Some(answer);
        }
    }
    None
}

fn read(call: &Call<'_>, numbers: &[i64]) -> Result<Reply, Sick> {
    script::reply(call, numbers).map_err(|_| Sick::Odd)
}

fn told(error: &::redis::RedisError) -> Sick {
    let sick = Sick::of(error);
    // Text of errors stays out of the log: Redis quotes arguments.
    tracing::debug!(kind = ?error.kind(), code = error.code(), reason = sick.text(), "a call to Redis failed");
    sick
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}
