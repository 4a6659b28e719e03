//! The limits of a tenant: one decision a request, exact over all proxies through Redis, or in this process alone.
//!
//! ```text
//! Limiter::admit --> amount 0?   refused here (decision.rs)
//!                --> memory      account/, standalone: the whole limit, or this process's share
//!                --> Redis       account/lua/, one round trip: the whole limit, shared by all proxies (redis/)
//!                      `-- no answer within the budget: the tenant's policy; `Local`: this proxy's share (local.rs)
//! Reservation    --> progress    what a running stream draws from budgets that end it (meter.rs)
//!                --> settle      queue.rs --> worker/: one round trip, pipelined, behind the answer
//! worker/        --> refreshes what is held, counts the proxies, probes a Redis that is sick and makes known what it missed
//! ```
//!
//! A request whose limits count requests alone makes one round trip; others one before and one behind, and one each ten seconds while they run (each
//! second where a budget ends streams, and sooner where it is nearly spent), together with all others of the tenant.

pub mod account;
pub mod calendar;
mod clock;
mod decision;
mod doubt;
mod local;
mod meter;
mod owed;
pub mod plan;
mod publish;
mod queue;
mod redis;
mod reservation;
mod tenants;
mod worker;

#[cfg(test)]
mod tests;

pub use self::decision::{Decision, Mode, Refused, Standing, StoreCall, StoreResult, Verdict};
pub use self::plan::{Estimate, LineUnit, RoutePlan, TenantPlan, Used};
pub use self::publish::LimitsMode;
pub use self::reservation::Reservation;

use self::account::{Account, Admitted, Call, Id, Line, Reply};
use self::clock::Clock;
use self::decision::Asked;
use self::doubt::Doubt;
use self::local::{Alone, Local, stop_lines, told};
use self::meter::{Draw, Meters};
use self::publish::{Counts, Settled};
use self::queue::Queue;
use self::redis::{Answer, Redis};
use self::reservation::{Home, Open};
use self::tenants::{TenantState, Tenants};
use relay_snapshot::SecretText;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long the end of the process waits for settles.
const LAST_SETTLES: Duration = Duration::from_secs(5);

/// How long proxies that start together have to count themselves: a few of their words that they are there.
const ACQUAINTED: Duration = Duration::from_secs(30);

/// Decides on requests. All state is inside and safe for use by many tasks.
pub struct Limiter {
    inner: Arc<Inner>,
    /// The worker; of a limiter in memory it begins with the first request that is limited.
    worker: OnceLock<AbortHandle>,
}

/// What reservations and the worker share.
struct Inner {
    store: Store,
    tenants: Tenants,
    local: Local,
    queue: Queue,
    /// A budget that ends streams is to be told of before the next tick.
    due: Notify,
    clock: Clock,
    counts: Counts,
    mode: watch::Sender<LimitsMode>,
    /// Among how many processes a limit is divided that is kept here.
    proxies: AtomicU32,
    /// As many as there are said to be: believed until all had time to be counted.
    replicas: u32,
    began: Instant,
    closing: CancellationToken,
    /// The worker is through.
    closed: CancellationToken,
}

enum Store {
    Memory(Box<Account>),
    Redis(Redis),
}

/// How to use Redis.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// `redis://`, `rediss://`, `redis+unix://`, `redis+sentinel://` or `redis+cluster://`, and the same with `valkey`.
    pub url: SecretText,
    /// User, in place of the URL's.
    pub username: Option<String>,
    /// Password, in place of the URL's.
    pub password: Option<SecretText>,
    /// File with the certificates (PEM) to believe, in place of the system's.
    pub ca: Option<PathBuf>,
    /// Among how many proxies a limit is divided while Redis is away, until they have counted themselves there. 0 counts as 1.
    pub replicas: u32,
    /// The longest that one decision waits for Redis, connecting included.
    pub budget: Duration,
}

impl RedisOptions {
    /// With 25 ms for a decision, one proxy, and nothing beside the URL.
    pub fn new(url: impl Into<SecretText>) -> Self {
        let budget = Duration::from_millis(25);
        Self { url: url.into(), username: None, password: None, ca: None, replicas: 1, budget }
    }
}

/// Why there is no limiter. The URL is in none of the messages: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimiterError {
    /// The URL can't be read.
    #[error(
        "the Redis URL is not valid: write redis://[user:password@]host[:port][/db], rediss:// for TLS, redis+unix:///path/of/socket, \
         redis+sentinel://[user:password@]host[:port][,host[:port]...]/MASTER[/db] or redis+cluster://[user:password@]host[:port][,host[:port]...], \
         with special characters in user and password percent-encoded"
    )]
    Url,
    /// The file of `ca` can't be read.
    #[error("the certificates to believe for Redis can't be read: --redis-ca names a file with certificates in PEM")]
    Ca,
    /// There is nothing to run the connection on.
    #[error("Limiter::redis must be called within a tokio runtime")]
    Runtime,
}

impl Limiter {
    /// Keeps the limits in this process, the only one.
    pub fn memory() -> Self {
        Self::memory_share(1)
    }

    /// Keeps the limits in this process, one of `replicas` that nothing connects: each holds its part, so that together they never admit more
    /// than the limit (parts are rounded down, but to 1 at least, and a process that starts again begins anew). 0 counts as 1.
    pub fn memory_share(replicas: u32) -> Self {
        let inner = Arc::new(Inner::new(Store::Memory(Box::default()), replicas, LimitsMode::None));
        Self { inner, worker: OnceLock::new() }
    }

    /// Keeps the limits in Redis, and in this process while Redis does not answer.
    ///
    /// Reads the options and returns at once; tasks on the current tokio runtime connect, now and whenever the connection is lost, until the
    /// limiter is dropped. Redis being away is no error.
    pub fn redis(options: &RedisOptions) -> Result<Self, LimiterError> {
        let runtime = Handle::try_current().map_err(|_| LimiterError::Runtime)?;
        let redis = Redis::open(options, &runtime)?;
        let inner = Arc::new(Inner::new(Store::Redis(redis), options.replicas, LimitsMode::Shared));
        let worker = OnceLock::from(runtime.spawn(worker::run(Arc::clone(&inner))).abort_handle());
        Ok(Self { inner, worker })
    }

    /// Whether a request of this tenant on this route may begin, by all limits of both: all of them let it, and what it is estimated to use is
    /// charged; or one does not, and nothing is.
    ///
    /// Never takes longer than the budget. A change of the plans holds from this very decision on.
    ///
    /// Cancel-safe: dropping the future leaves nothing locked or waiting. If it is dropped while Redis is asked, the request may or may not have
    /// been counted; what was reserved is given back.
    pub async fn admit(&self, tenant: &TenantPlan, route: Option<&RoutePlan>, estimate: Estimate) -> Decision {
        if tenant.is_empty(route) {
            return Decision::free(None, Mode::Shared, None);
        }
        let inner = &self.inner;
        let plan = tenant.all(route).collect();
        let asked = Asked { plan, lines: tenant.request(route, estimate, inner.clock.seconds()) };
        if let Some(decision) = asked.never() {
            return decision;
        }
        let state = inner.tenants.of(&tenant.tenant);
        match &inner.store {
            Store::Memory(account) => {
                self.begin_worker();
                inner.in_memory(account, &state, asked)
            }
            Store::Redis(redis) => inner.in_redis(redis, tenant, &state, &asked).await,
        }
    }

    /// Whether the limits are shared now, and why not.
    pub fn mode(&self) -> watch::Receiver<LimitsMode> {
        self.inner.mode.subscribe()
    }

    /// Sends what is still to be settled, for five seconds at most, and takes this proxy out of the count. To be called when all requests are over.
    pub async fn close(&self) {
        self.inner.closing.cancel();
        if self.worker.get().is_some() {
            // Over time, the worker is aborted with the limiter.
            let _ = tokio::time::timeout(LAST_SETTLES, self.inner.closed.cancelled()).await;
        }
        let lost = self.inner.untold();
        if lost > 0 {
            self.inner.counts.add(Settled::Lost, lost);
            tracing::warn!(lost, "Redis did not take what the last requests used");
        }
    }

    fn begin_worker(&self) {
        if self.worker.get().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            self.worker.get_or_init(|| runtime.spawn(worker::run(Arc::clone(&self.inner))).abort_handle());
        }
    }
}

impl Inner {
    fn new(store: Store, replicas: u32, mode: LimitsMode) -> Self {
        Self {
            store,
            tenants: Tenants::new(),
            local: Local::new(),
            queue: Queue::default(),
            due: Notify::new(),
            clock: Clock::new(),
            counts: Counts::default(),
            mode: watch::Sender::new(mode),
            proxies: AtomicU32::new(replicas.max(1)),
            replicas: replicas.max(1),
            began: Instant::now(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        }
    }

    /// Of how many requests Redis is not told yet what they used.
    fn untold(&self) -> usize {
        let owed = self.tenants.all().into_iter().map(|state| state.lock().untold()).sum::<usize>();
        self.queue.waiting() + owed
    }

    fn proxies(&self) -> u32 {
        self.proxies.load(Relaxed)
    }

    /// So many proxies are there by Redis' count. Those that start together have not all counted themselves yet: for a while a count below what is said
    /// is not believed, since shares would be too large.
    fn counted(&self, proxies: u32) {
        let least = if self.began.elapsed() < ACQUAINTED { self.replicas } else { 1 };
        self.proxies.store(proxies.max(least), Relaxed);
    }

    fn in_memory(self: &Arc<Self>, account: &Account, state: &Arc<TenantState>, asked: Asked<'_>) -> Decision {
        let proxies = self.proxies();
        let lines = asked.lines.iter().map(|line| line.share(proxies)).collect();
        let asked = Asked { lines, ..asked };
        let id = Id(rand::random());
        let call = Call::Admit { id, lines: &asked.lines };
        let Reply::Admitted(reply) = account.apply(&state.id, self.clock.micros(), &call) else {
            return Decision::unavailable(None);
        };
        let mode = if proxies == 1 { Mode::Shared } else { Mode::Local };
        self.decided(state, &asked, id, &reply, mode)
    }

    async fn in_redis(
        self: &Arc<Self>,
        redis: &Redis,
        plan: &TenantPlan,
        state: &Arc<TenantState>,
        asked: &Asked<'_>,
    ) -> Decision {
        let id = Id(rand::random());
        let mut doubt = Doubt { limiter: self, state, id, lines: &asked.lines, is_asked: true };
        let Answer { admitted, call, late } = redis.admit(&state.id, id, &asked.lines).await;
        doubt.is_asked = admitted.is_none() && call.is_some();
        drop(doubt);
        let decision = match admitted {
            Some(reply) => self.decided(state, asked, id, &reply, Mode::Shared),
            None => self.without_redis(plan.on_unavailable, Alone { state, asked, late }),
        };
        Decision { store: call, ..decision }
    }

    /// An account decided on the whole limit.
    fn decided(
        self: &Arc<Self>,
        state: &Arc<TenantState>,
        asked: &Asked<'_>,
        id: Id,
        reply: &Admitted,
        mode: Mode,
    ) -> Decision {
        let mut tenant = state.lock();
        tenant.learn(asked, reply);
        tenant.seeded = 0;
        let mut reservation = || {
            if !asked.lines.iter().any(Line::is_held) {
                return None;
            }
            let told = told(&asked.lines, reply);
            let meters = Meters::admitted(tenant.meters.as_ref(), &told);
            tenant.meters.clone_from(&meters);
            let stops = stop_lines(&asked.lines);
            tenant.stops = stops.to_vec();
            let draw = meters.map(|meters| Draw::new(meters, stops));
            let open = Open::new(id, Arc::clone(state), asked.lines.clone().into(), None, draw);
            Some(Reservation::begin(self, &mut tenant, open))
        };
        Decision::of(asked, reply, || Verdict::Admitted(reservation()), mode)
    }

    /// A request is over.
    fn settle(&self, open: Arc<Open>, used: Used) {
        if let Store::Memory(account) = &self.store {
            account.apply(
                &open.tenant.id,
                self.clock.micros(),
                &Call::Settle { id: open.id, lines: &open.lines, used },
            );
            self.counts.add(Settled::Shared, 1);
            if let Some(draw) = &open.draw {
                draw.settled(used);
            }
            return;
        }
        // Held until it is decided who tells Redis: the worker may be telling it of this reservation now.
        let mut home = open.home();
        if *home == Home::Local {
            *home = Home::Over;
            self.settle_local(&open, used);
            self.counts.add(Settled::Local, 1);
            drop(home);
            if let Some(draw) = &open.draw {
                draw.settled(used);
            }
            return;
        }
        drop(home);
        if !self.queue.push(open, used) {
            self.counts.add(Settled::Lost, 1);
        }
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.get() {
            worker.abort();
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.inner.store {
            Store::Memory(_) => "Limiter::memory",
            Store::Redis(_) => "Limiter::redis",
        })
    }
}
