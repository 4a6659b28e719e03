//! What every scenario needs: an API server with one route, one tenant and their Secret, a proxy, operators.

use crate::api::Api;
use crate::proxy::Proxy;
use kube::{Client, Config};
use relay_operator::cli::RunOptions;
use relay_operator::metrics::Metrics;
use relay_operator::run::operate;
use relay_snapshot::ObjectId;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Far more than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) api: Arc<Api>,
    pub(crate) proxy: Proxy,
    address: String,
}

pub(crate) struct Operator {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Operator {
    /// Ends it as SIGTERM does.
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let (api, address) = Api::start().await;
        api.put("namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}));
        api.put("secrets", secret("first-provider-key"));
        api.put("relayroutes", route("a", 1, "/v1"));
        api.put("relaytenants", tenant("t", 1));
        api.forget();
        let proxy = Proxy::new(Arc::clone(&api)).await;
        Self { api, proxy, address }
    }

    /// Makes the proxy known as a ready pod.
    pub(crate) fn proxy(&self, name: &str) {
        self.api.put(
            "pods",
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"namespace": "relay", "name": name, "uid": name, "labels": {"app": "proxy"}},
                "status": {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
            }),
        );
    }

    /// Starts an operator; returns when its stores are listed and somebody leads.
    pub(crate) async fn operator(&self, identity: &str) -> Operator {
        let client = Client::try_from(Config::new(self.address.parse().unwrap())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = RunOptions {
            config_namespace: "relay".into(),
            watch_namespaces: vec![],
            proxy_selector: "app=proxy".into(),
            proxy_admin_port: self.proxy.port,
            admin: listener.local_addr().unwrap(),
            identity: identity.into(),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(operate(client, options, listener, shutdown.clone(), Metrics::new().unwrap()));
        self.until("somebody leads", || !self.holder().is_empty()).await;
        Operator { shutdown, task }
    }

    pub(crate) fn holder(&self) -> String {
        let lease = self.api.get("leases", "relay", "relay-operator");
        let holder = lease.as_ref().and_then(|lease| lease["spec"]["holderIdentity"].as_str());
        holder.unwrap_or_default().to_owned()
    }

    /// Name of the ConfigMap that holds a route.
    pub(crate) fn shard_of(route: &str) -> String {
        relay_snapshot::shards::config_name(relay_snapshot::shards::shard_of(&ObjectId::new("team", route)))
    }

    /// Status of a condition of this generation; empty where there is none.
    pub(crate) fn says(&self, kind: &str, name: &str, generation: i64, type_: &str) -> String {
        let object = self.api.get(kind, "team", name).unwrap_or_default();
        let condition = condition(&object["status"], type_).filter(|c| c["observedGeneration"] == generation);
        condition.and_then(|condition| condition["status"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    pub(crate) fn programmed(&self, kind: &str, name: &str, generation: i64) -> String {
        self.says(kind, name, generation, "Programmed")
    }

    pub(crate) async fn until_ready(&self, kind: &str, name: &str, generation: i64) {
        self.until(&format!("{kind} {name} is ready"), || self.says(kind, name, generation, "Ready") == "True").await;
    }

    /// Waits for a change of the API server after which `holds`.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let mut changes = self.api.changes();
        let waited = async {
            while !holds() {
                changes.changed().await.unwrap();
            }
        };
        assert!(timeout(PATIENCE, waited).await.is_ok(), "never: {what}; writes: {:?}", self.api.writes());
    }
}

pub(crate) fn condition(status: &Value, type_: &str) -> Option<Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_).cloned()
}

pub(crate) fn secret(key: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "team", "name": "s"},
        "data": {
            "provider": k8s_openapi::ByteString(key.as_bytes().to_vec()),
            "tenant": k8s_openapi::ByteString(b"a-key-of-at-least-twenty-bytes".to_vec()),
        },
    })
}

pub(crate) fn route(name: &str, generation: i64, path: &str) -> Value {
    json!({
        "apiVersion": "stream-relay.dev/v1alpha1", "kind": "RelayRoute",
        "metadata": {"namespace": "team", "name": name, "uid": format!("route-{name}"), "generation": generation},
        "spec": {
            "matches": [{"path": {"prefix": path}}],
            "backends": [{"name": "b", "provider": "OpenAI", "credential": {"secretRef": {"name": "s", "key": "provider"}}}],
        },
    })
}

pub(crate) fn tenant(name: &str, generation: i64) -> Value {
    let sha256 = relay_snapshot::shards::sha256_hex(name.as_bytes());
    json!({
        "apiVersion": "stream-relay.dev/v1alpha1", "kind": "RelayTenant",
        "metadata": {"namespace": "team", "name": name, "uid": format!("tenant-{name}"), "generation": generation},
        "spec": {"apiKeys": [{"name": "ci", "sha256": sha256}]},
    })
}
