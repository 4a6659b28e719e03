//! Two candidates for one Lease.

use crate::api::Api;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Client, Config};
use relay_operator::election::Election;
use relay_operator::lease::{TIMING, Timing};
use relay_operator::metrics::Metrics;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Short, so that a Lease runs out while the test waits for it.
const FAST: Timing = Timing {
    duration: Duration::from_millis(600),
    renew_deadline: Duration::from_millis(400),
    retry: Duration::from_millis(50),
    campaign: Duration::from_millis(50),
};

struct Candidate {
    /// Whether `lead` is running.
    leads: watch::Receiver<bool>,
    shutdown: CancellationToken,
    metrics: Metrics,
    task: JoinHandle<()>,
}

/// Says that it leads, until it is dropped.
struct Leading(Arc<watch::Sender<bool>>);

impl Drop for Leading {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

fn candidate(address: &str, me: &str, timing: Timing) -> Candidate {
    let client = Client::try_from(Config::new(address.parse().unwrap())).unwrap();
    let (metrics, shutdown) = (Metrics::new().unwrap(), CancellationToken::new());
    let api: kube::Api<Lease> = kube::Api::namespaced(client, "relay");
    let election = Election { api, me: me.into(), timing, metrics: metrics.clone() };
    let (sender, leads) = watch::channel(false);
    let (sender, token) = (Arc::new(sender), shutdown.clone());
    let task = tokio::spawn(async move {
        let lead = || async {
            let _leading = Leading(Arc::clone(&sender));
            sender.send_replace(true);
            std::future::pending::<()>().await;
        };
        election.run(token, lead).await;
    });
    Candidate { leads, shutdown, metrics, task }
}

impl Candidate {
    async fn until(&mut self, leads: bool) {
        let waited = tokio::time::timeout(Duration::from_mins(1), self.leads.wait_for(|now| *now == leads)).await;
        waited.unwrap().unwrap();
    }
}

fn holder(api: &Api) -> String {
    let lease = api.get("leases", "relay", "relay-operator").unwrap();
    lease["spec"]["holderIdentity"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_loses_the_lease_stops_to_lead() {
    let (api, address) = Api::start().await;
    let mut one = candidate(&address, "one", FAST);
    one.until(true).await;
    let mut lease = api.get("leases", "relay", "relay-operator").unwrap();
    lease["spec"]["holderIdentity"] = json!("intruder");
    api.put("leases", lease);
    one.until(false).await;
    assert_eq!(one.metrics.leadership_lost.get(), 1);
    // The intruder never renews: its Lease runs out.
    one.until(true).await;
    assert_eq!(holder(&api), "one");
}

#[tokio::test]
async fn a_dead_leader_is_followed_when_its_lease_has_run_out() {
    let (api, address) = Api::start().await;
    let mut one = candidate(&address, "one", FAST);
    one.until(true).await;
    one.task.abort();
    let mut two = candidate(&address, "two", FAST);
    two.until(true).await;
    assert_eq!(holder(&api), "two");
    let lease = api.get("leases", "relay", "relay-operator").unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
}

#[tokio::test]
async fn a_leader_that_ends_stops_first_and_then_gives_the_lease_away() {
    let (api, address) = Api::start().await;
    // With these times only a release lets the other lead while the test is patient: the Lease lasts for an hour.
    let long = Timing { duration: Duration::from_hours(1), ..TIMING };
    let mut one = candidate(&address, "one", long);
    one.until(true).await;
    let mut two = candidate(&address, "two", long);
    one.shutdown.cancel();
    one.task.await.unwrap();
    assert!(!*one.leads.borrow());
    two.until(true).await;
    assert_eq!(holder(&api), "two");
}
