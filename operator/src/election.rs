//! Takes, renews and releases the Lease, and leads meanwhile.

use crate::brief::brief;
use crate::lease::{Decision, Seen, Timing, decide, held, released};
use crate::metrics::Metrics;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Name of the Lease in the config namespace.
pub const LEASE_NAME: &str = "relay-operator";
/// How long releasing may delay the end of the process.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// A candidate.
pub struct Election {
    /// Leases of the config namespace.
    pub api: Api<Lease>,
    /// The own name.
    pub me: String,
    /// How long things take.
    pub timing: Timing,
    /// Says who leads.
    pub metrics: Metrics,
}

impl Election {
    /// Campaigns, and runs `lead` whenever this replica leads, until `shutdown`. `lead` is dropped when the leadership is lost or at shutdown,
    /// before the Lease is released; all that it does must end with it.
    pub async fn run<F: Future<Output = ()>>(&self, shutdown: CancellationToken, lead: impl Fn() -> F) {
        while let Some(seen) = shutdown.run_until_cancelled(self.campaign()).await {
            info!(me = self.me, "leading");
            self.metrics.leader.set(1);
            let mut seen = seen;
            let lost = tokio::select! {
                () = self.keep(&mut seen) => true,
                () = lead() => false,
                () = shutdown.cancelled() => false,
            };
            self.metrics.leader.set(0);
            if lost {
                warn!(me = self.me, "not leading any more");
                self.metrics.leadership_lost.inc();
            } else {
                self.release(&seen).await;
            }
        }
    }

    /// Returns when the Lease is held.
    async fn campaign(&self) -> Seen {
        let mut seen: Option<Seen> = None;
        loop {
            match timeout(self.timing.renew_deadline, self.attempt(&mut seen)).await {
                Ok(Ok(Some(held))) => return held,
                Ok(Ok(None)) => {}
                Ok(Err(error)) => warn!(error = %brief(&error), "the Lease can't be read or written"),
                Err(_) => warn!("the API server does not answer for the Lease"),
            }
            sleep(self.timing.campaign).await;
        }
    }

    async fn attempt(&self, seen: &mut Option<Seen>) -> kube::Result<Option<Seen>> {
        let now = Instant::now();
        *seen = self.api.get_opt(LEASE_NAME).await?.map(|lease| Seen::next(seen.take(), lease, now));
        let decision = decide(&self.me, seen.as_ref(), now, &self.timing);
        debug!(?decision, holder = seen.as_ref().and_then(Seen::holder), "campaign");
        let wanted = held(&self.me, LEASE_NAME, seen.as_ref(), Timestamp::now(), &self.timing);
        let written = match decision {
            Decision::Wait => return Ok(None),
            Decision::Create => self.api.create(&PostParams::default(), &wanted).await,
            Decision::Take | Decision::Renew => self.api.replace(LEASE_NAME, &PostParams::default(), &wanted).await,
        };
        match written {
            Ok(lease) => Ok(Some(Seen { lease, since: now })),
            // Another replica was faster; the next look tells.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renews; returns when the leadership is lost.
    async fn keep(&self, seen: &mut Seen) {
        // Others count from the write, which is no earlier than the asking: only so does this replica end before they may begin.
        let mut renewed = seen.since;
        loop {
            sleep(self.timing.retry).await;
            let asked = Instant::now();
            let left = (renewed + self.timing.renew_deadline).saturating_duration_since(asked);
            match timeout(left, self.renew(seen)).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => warn!(error = %brief(&error), "the Lease was not renewed"),
                Err(_) => warn!("the Lease was not renewed in time"),
            }
            if renewed.elapsed() >= self.timing.renew_deadline {
                return;
            }
        }
    }

    /// One renewal; false when another holds the Lease.
    async fn renew(&self, seen: &mut Seen) -> kube::Result<bool> {
        let wanted = held(&self.me, LEASE_NAME, Some(seen), Timestamp::now(), &self.timing);
        match self.api.replace(LEASE_NAME, &PostParams::default(), &wanted).await {
            Ok(lease) => {
                *seen = Seen { lease, since: Instant::now() };
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                // Somebody else wrote: a new holder, or a hand that edited it. A look tells, and the next renewal builds on what it found.
                let lease = self.api.get(LEASE_NAME).await?;
                *seen = Seen { lease, since: Instant::now() };
                Ok(seen.holder() == Some(self.me.as_str()))
            }
            Err(error) => Err(error),
        }
    }

    async fn release(&self, seen: &Seen) {
        match timeout(RELEASE_TIMEOUT, self.free(seen)).await {
            Ok(Ok(())) => info!(me = self.me, "released the Lease"),
            Ok(Err(error)) => warn!(error = %brief(&error), "the Lease was not released; it runs out"),
            Err(_) => warn!("the Lease was not released in time; it runs out"),
        }
    }

    async fn free(&self, seen: &Seen) -> kube::Result<()> {
        let free = released(&seen.lease, Timestamp::now());
        match self.api.replace(LEASE_NAME, &PostParams::default(), &free).await {
            Ok(_) => Ok(()),
            // A renewal that was cut off by the end may have been written all the same.
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                let seen = Seen { lease: self.api.get(LEASE_NAME).await?, since: Instant::now() };
                if seen.holder() == Some(self.me.as_str()) {
                    let free = released(&seen.lease, Timestamp::now());
                    self.api.replace(LEASE_NAME, &PostParams::default(), &free).await?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
