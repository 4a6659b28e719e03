//! The two kinds that users write: [`RelayRoute`] and [`RelayTenant`], group `stream-relay.dev`, version `v1alpha1`.
//!
//! ```text
//! RelayTenant  ->  who may call, with which keys, how often
//! RelayRoute   ->  where a request goes, with which credential
//! ```
//!
//! Types, OpenAPI schema, CEL rules and the text of `kubectl explain` live here, and no behaviour. What is wrong in an
//! object itself is refused by the API server with the messages of [`rules`]; `relay-compile` refuses the same things with the
//! same words where no API server stands in front (the standalone mode). What depends on other objects shows in status.

// The derives put public items of their own into private modules, and printer columns repeat their types.
#![allow(unreachable_pub, clippy::duplicated_attributes)]

mod backend;
mod handling;
mod limits;
mod route;
pub mod rules;
mod scalars;
mod shared;
mod status;
mod tenant;

pub use backend::{Backend, BackendTls, CaRef, Credential, HeaderRewrite, ModelRewrite, Provider};
pub use handling::{
    BodyLimits, ClientGoneMode, Hedge, KeepAlive, OnClientGone, Retries, Rewrite, Timeouts, Usage, WireFormat,
};
pub use limits::{
    AtLimit, Budget, BudgetPeriod, BudgetUnit, Limits, OnRedisUnavailable, Period, RateLimit, RouteLimits,
    StreamsLimit, TokenCount, TokensLimit,
};
pub use route::{HttpMethod, PathMatch, RelayRoute, RelayRouteSpec, RouteMatch, RouteTenants};
pub use scalars::{ByteSize, Duration, ScalarError};
pub use shared::{FromNamespaces, HeaderValue, NamespaceConsent, SecretKeyRef};
pub use status::{KeyStatus, ProxyStatus, RelayRouteStatus, RelayTenantStatus, condition, reason};
pub use tenant::{AllowedRoutes, ApiKey, OnSuspend, RelayTenant, RelayTenantSpec};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The API group of both kinds.
pub const GROUP: &str = "stream-relay.dev";
/// The served and stored version of both kinds.
pub const VERSION: &str = "v1alpha1";

/// Both definitions as they are installed: `(file name, definition)`.
pub fn definitions() -> [(&'static str, CustomResourceDefinition); 2] {
    [("relayroutes.yaml", plain(&RelayRoute::crd())), ("relaytenants.yaml", plain(&RelayTenant::crd()))]
}

/// The schema without what Kubernetes does not need:
/// - null. An optional field that is set to null means the same as one that is absent: without `nullable` the API server drops such a field,
///   so that `has()` in the CEL rules is true only for a value;
/// - the formats `uint16` and `uint32`, which it does not know and warns of at every install.
fn plain(definition: &CustomResourceDefinition) -> CustomResourceDefinition {
    use serde_json::Value;
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                if map.get("nullable") == Some(&Value::Bool(true)) {
                    map.remove("nullable");
                }
                if map.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                    map.remove("format");
                }
                if let Some(Value::Array(allowed)) = map.get_mut("enum") {
                    allowed.retain(|value| !value.is_null());
                }
                map.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let stripped = serde_json::to_value(definition).and_then(|mut value| {
        strip(&mut value);
        serde_json::from_value(value)
    });
    // A definition is JSON by its nature; were it not, the unstripped one is still valid.
    stripped.unwrap_or_else(|_| definition.clone())
}

/// A definition as YAML, the form that is committed in `crds/generated` and shipped in the chart.
pub fn to_yaml(definition: &CustomResourceDefinition) -> std::io::Result<String> {
    serde_saphyr::to_string(definition).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests;
