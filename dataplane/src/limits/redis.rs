//! Buckets in Redis, within a budget; this process's share of the limit when Redis does not answer.
//!
//! A decision is one `EVALSHA` on a connection that all decisions share. What keeps a sick Redis from making the relay sick:
//!
//! | Redis is            | a decision                                                                                    |
//! |---------------------|-----------------------------------------------------------------------------------------------|
//! | slow or hung        | waits for the budget, then is local; after 5 misses in a row local at once (`circuit.rs`)      |
//! | gone                | local at once, from the first failed attempt to connect on (`link.rs`)                         |
//! | connecting          | waits for the connection, within the budget                                                   |
//! | emptied             | shared; buckets begin full, the script is loaded again by the decision that misses it         |
//! | back                | shared: the next decision is the probe that closes the circuit                                |

mod circuit;
mod link;

use self::circuit::Circuit;
use self::link::{Link, State};
use super::gcra::{Outcome, Rule};
use super::memory::Memory;
use super::{Decision, LimiterError, Mode, RedisOptions, StoreCall, StoreResult};
use ::redis::{Client, IntoConnectionInfo, Script, io::tcp::TcpSettings};
use relay_snapshot::ObjectId;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

/// The script; its proof of exactness is in it.
const GCRA: &str = include_str!("gcra.lua");

pub(super) struct Redis {
    script: Script,
    state: watch::Receiver<State>,
    circuit: Arc<Circuit>,
    local: Memory,
    options: RedisOptions,
    supervisor: AbortHandle,
}

impl Redis {
    pub(super) fn open(url: &str, options: RedisOptions) -> Result<Self, LimiterError> {
        let client = client(url)?;
        let runtime = Handle::try_current().map_err(|_| LimiterError::Runtime)?;
        let script = Script::new(GCRA);
        let circuit = Arc::new(Circuit::new(options.budget));
        let (sender, state) = watch::channel(State::Connecting);
        let supervisor = runtime.spawn(link::supervise(client, script.clone(), sender, circuit.clone())).abort_handle();
        Ok(Self { script, state, circuit, local: Memory::new(), options, supervisor })
    }

    pub(super) async fn admit(&self, tenant: &ObjectId, rule: Rule) -> Decision {
        let start = Instant::now();
        if matches!(*self.state.borrow(), State::Down) || !self.circuit.lets_through(start) {
            return self.local(tenant, rule, None);
        }
        let asked = self.ask(tenant, rule, start + self.options.budget).await;
        let call = |result| Some(StoreCall { result, elapsed: start.elapsed() });
        match asked {
            Ok(outcome) => {
                self.circuit.hit();
                Decision::new(rule, outcome, Mode::Shared, call(StoreResult::Ok))
            }
            Err(result) => {
                self.circuit.miss(Instant::now());
                self.local(tenant, rule, call(result))
            }
        }
    }

    async fn ask(&self, tenant: &ObjectId, rule: Rule, deadline: Instant) -> Result<Outcome, StoreResult> {
        let link = timeout_at(deadline, self.link()).await.map_err(|_| StoreResult::Timeout)??;
        // The braces make the tenant the hash tag: all keys of a tenant are in one slot of a cluster.
        let key = format!("relay:{{{tenant}}}:requests");
        match timeout_at(deadline, link.call(&self.script, &key, rule)).await {
            Ok(Ok((allowed, seconds, parts))) => {
                link.answered();
                Ok(rule.outcome_of_script(allowed, seconds, parts))
            }
            Ok(Err(error)) => {
                link.failed(&error);
                Err(StoreResult::Error)
            }
            Err(_) => {
                link.missed();
                Err(StoreResult::Timeout)
            }
        }
    }

    /// The connection. Waits while there is none yet, fails when there was none to be had.
    async fn link(&self) -> Result<Arc<Link>, StoreResult> {
        if let State::Up(link) = &*self.state.borrow() {
            return Ok(link.clone());
        }
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match settled.as_deref() {
            Ok(State::Up(link)) => Ok(link.clone()),
            _ => Err(StoreResult::Error),
        }
    }

    fn local(&self, tenant: &ObjectId, rule: Rule, store: Option<StoreCall>) -> Decision {
        let rule = rule.share(self.options.replicas);
        Decision::new(rule, self.local.admit(tenant, rule), Mode::Local, store)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

/// Errors of the parser are dropped: they may quote the URL.
fn client(url: &str) -> Result<Client, LimiterError> {
    if url.starts_with("rediss:") || url.starts_with("valkeys:") {
        return Err(LimiterError::Tls);
    }
    let info = url.into_connection_info().map_err(|_| LimiterError::Url)?;
    // Nagle's algorithm would hold a decision back until the one before it is acknowledged.
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    Client::open(info).map_err(|_| LimiterError::Url)
}
