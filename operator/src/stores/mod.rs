//! What the operator knows of the cluster: mirrors in memory, kept by watches, warm in every replica.

pub mod kinds;
pub mod mirror;
pub mod watch;

pub use kinds::{NamespaceLabels, ProxyPod, SecretData, Watched};
pub use mirror::{Change, Mirror, Mirrored, Source};

use crate::cli::RunOptions;
use crate::controller::written::CONFIG_LABEL;
use crate::metrics::Metrics;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use relay_crds::{RelayRoute, RelayTenant};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use watch::Denied;

/// Secrets that no route or tenant names in their right mind, and that would fill the memory.
const SECRET_TYPES: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

/// How many Secrets are asked for at once: each may have 1 MiB, and a page is in memory as text and parsed.
const SECRETS_A_PAGE: u32 = 50;

/// Wakes the parts that work on changes. A wake that nobody waits for yet is kept, several are one.
#[derive(Debug, Default)]
pub struct Wakes {
    /// Something changed that proxies may have to know.
    pub fleet: Notify,
    /// Something changed that conditions may have to say.
    pub report: Notify,
    /// Proxy pods came, went or changed.
    pub pods: Notify,
}

/// All mirrors.
pub struct Stores {
    /// RelayRoutes of the watched namespaces.
    pub routes: Mirror<Watched<RelayRoute>>,
    /// RelayTenants of the watched namespaces.
    pub tenants: Mirror<Watched<RelayTenant>>,
    /// Labels of namespaces.
    pub namespaces: Mirror<NamespaceLabels>,
    /// Secrets of the watched namespaces.
    pub secrets: Mirror<SecretData>,
    /// Proxy pods.
    pub proxies: Mirror<ProxyPod>,
    /// Who is woken.
    pub wakes: Wakes,
}

impl Stores {
    /// Empty mirrors with one source a namespace; one for all where `namespaces` is empty.
    pub fn new(namespaces: usize) -> Self {
        let sources = namespaces.max(1);
        Self {
            routes: Mirror::new(sources),
            tenants: Mirror::new(sources),
            namespaces: Mirror::new(sources),
            secrets: Mirror::new(sources),
            proxies: Mirror::new(1),
            wakes: Wakes::default(),
        }
    }

    /// Whether everything that the proxies' configuration is made of was listed once. Nothing is written before that, and nothing while the API server
    /// denies the routes or the tenants of every namespace.
    pub fn complete(&self) -> bool {
        let answered = self.routes.answered() && self.tenants.answered();
        answered && self.routes.listed() && self.tenants.listed() && self.namespaces.listed() && self.secrets.listed()
    }

    /// Whether the proxy pods were listed, too.
    pub fn ready(&self) -> bool {
        self.complete() && self.proxies.listed()
    }

    /// Starts all watches. They end when the set is dropped.
    pub fn watch(self: &Arc<Self>, client: &Client, options: &RunOptions, metrics: &Metrics) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let namespaces: Vec<Option<&str>> = match &options.watch_namespaces[..] {
            [] => vec![None],
            some => some.iter().map(|namespace| Some(namespace.as_str())).collect(),
        };
        for (number, namespace) in namespaces.into_iter().enumerate() {
            self.watch_namespace(&mut tasks, client, number, namespace, metrics);
        }
        let pods: Api<Pod> = Api::namespaced(client.clone(), &options.config_namespace);
        let config = watcher::Config::default().labels(&options.proxy_selector);
        self.spawn(
            &mut tasks,
            metrics,
            Plan { api: pods, config, name: "proxies", denied: Denied::Wait },
            0,
            |stores| &stores.proxies,
        );
        tasks
    }

    fn watch_namespace(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        client: &Client,
        number: usize,
        namespace: Option<&str>,
        metrics: &Metrics,
    ) {
        let all = watcher::Config::default;
        // A namespace of the list that is gone is denied for ever, since its role binding went with it: it must not keep the others waiting. That
        // nothing at all may be read is no such case.
        let denied = if namespace.is_some() { Denied::Empty } else { Denied::Wait };
        let routes: Api<DeserializeGuard<RelayRoute>> = api(client, namespace);
        let plan = Plan { api: routes, config: all(), name: "routes", denied };
        self.spawn(tasks, metrics, plan, number, |stores| &stores.routes);

        let tenants: Api<DeserializeGuard<RelayTenant>> = api(client, namespace);
        let plan = Plan { api: tenants, config: all(), name: "tenants", denied };
        self.spawn(tasks, metrics, plan, number, |stores| &stores.tenants);

        // The operator's own shards lie in Secrets, too; they are no input.
        let secrets: Api<Secret> = api(client, namespace);
        let config = all().fields(SECRET_TYPES).labels(&format!("!{CONFIG_LABEL}")).page_size(SECRETS_A_PAGE);
        let plan = Plan { api: secrets, config, name: "secrets", denied: Denied::Empty };
        self.spawn(tasks, metrics, plan, number, |stores| &stores.secrets);

        let namespaces: Api<Namespace> = Api::all(client.clone());
        let config = match namespace {
            Some(name) => all().fields(&format!("metadata.name={name}")),
            None => all(),
        };
        let plan = Plan { api: namespaces, config, name: "namespaces", denied: Denied::Empty };
        self.spawn(tasks, metrics, plan, number, |stores| &stores.namespaces);
    }

    fn spawn<T: Mirrored>(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        metrics: &Metrics,
        plan: Plan<T::Object>,
        number: usize,
        mirror: impl Fn(&Self) -> &Mirror<T> + Send + Sync + 'static,
    ) {
        let stores = Arc::clone(self);
        let metrics = metrics.clone();
        tasks.spawn(async move {
            let Some(source) = mirror(&stores).source(number) else { return };
            let wake = |change| stores.wake(T::CONCERNS, change);
            let handle = |event, said| {
                if said && matches!(event, Event::InitDone) {
                    mirror(&stores).note_answer();
                }
                wake(source.apply(event));
            };
            watch::follow(plan.api, plan.config, plan.name, plan.denied, &metrics, handle).await;
        });
    }

    fn wake(&self, concerns: kinds::Concerns, change: Change) {
        if change == Change::None {
            return;
        }
        match concerns {
            kinds::Concerns::Proxies => self.wakes.pods.notify_one(),
            kinds::Concerns::Fleet if change == Change::Matters => self.wakes.fleet.notify_one(),
            kinds::Concerns::Fleet => {}
        }
        self.wakes.report.notify_one();
    }
}

/// One watch.
struct Plan<K> {
    api: Api<K>,
    config: watcher::Config,
    name: &'static str,
    denied: Denied,
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

#[cfg(test)]
mod tests;
