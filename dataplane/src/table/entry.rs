//! Tenants, routes and backends in the form that requests need.

use super::matching::RouteIndex;
use crate::balance::RouteBalance;
use crate::drain::Cut;
use crate::limits::{RoutePlan, TenantPlan};
use http::header::{HeaderName, HeaderValue};
use http::uri::{Authority, Scheme, Uri};
use relay_snapshot::{
    Backend, Credential, HeaderRule, ModelPattern, ModelRewrite, ObjectId, Policy, Provider, Route, Tenant,
};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A tenant and its own path space.
pub struct TenantEntry {
    /// Its name.
    pub id: ObjectId,
    /// `namespace/name`, for labels.
    pub label: Arc<str>,
    /// New requests are refused.
    pub suspended: bool,
    /// Running streams end too.
    pub cuts: bool,
    /// Its limits.
    pub plan: TenantPlan,
    /// The routes that both sides consented to.
    pub routes: RouteIndex,
    cut: OnceLock<Cut>,
}

impl TenantEntry {
    pub(super) fn new(tenant: &Tenant, routes: &[Arc<RouteEntry>]) -> Self {
        Self {
            id: tenant.id.clone(),
            label: tenant.id.to_string().into(),
            suspended: tenant.suspended,
            cuts: tenant.suspended && tenant.cut,
            plan: TenantPlan::new(tenant),
            routes: RouteIndex::new(routes),
            cut: OnceLock::new(),
        }
    }

    /// What ends its streams. It outlives the table: [`Serving::swap`](crate::serving::Serving::swap) gives the tenant's next entry the same one.
    pub fn cut(&self) -> &Cut {
        self.cut.get_or_init(Cut::default)
    }

    /// Takes over what ends the streams that are running. Only before the table is served.
    pub(crate) fn carry_over(&self, cut: &Cut) {
        self.cut.get_or_init(|| cut.clone());
    }
}

/// A route.
pub struct RouteEntry {
    pub(super) source: Route,
    /// `namespace/name`, for labels.
    pub label: Arc<str>,
    /// Its backends that can be used; empty while the route is not ready.
    pub backends: Vec<Arc<BackendEntry>>,
    /// From the last piece of the request that an upstream took to the first byte of an answer's body, over all attempts; `None`: without bound.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the body; `None`: without bound.
    pub idle: Option<Duration>,
    /// From the request to the last byte of its answer; `None`: without bound.
    pub total: Option<Duration>,
    /// For a connection, TLS included; `None`: without bound.
    pub connect: Option<Duration>,
    /// Largest request body in bytes.
    pub body_max: u64,
    /// How its requests and answers are handled.
    pub policy: Policy,
    /// What each tenant may use of it.
    pub plan: RoutePlan,
    balance: OnceLock<RouteBalance>,
}

impl RouteEntry {
    pub(super) fn new(route: &Route) -> Self {
        let bound = |ms: u64| (ms > 0).then(|| Duration::from_millis(ms));
        // A backend that can't be read makes the whole route unready: sending all traffic to the others would hide it.
        let backends: Option<Vec<_>> = route.backends.iter().map(|b| BackendEntry::new(b).map(Arc::new)).collect();
        Self {
            source: route.clone(),
            label: route.id.to_string().into(),
            backends: backends.filter(|_| route.ready).unwrap_or_default(),
            first_byte: bound(route.timeouts.first_byte_ms),
            idle: bound(route.timeouts.idle_ms),
            total: bound(route.timeouts.total_ms),
            connect: bound(route.timeouts.connect_ms),
            body_max: route.body_max,
            policy: route.policy.clone(),
            plan: RoutePlan::new(route),
            balance: OnceLock::new(),
        }
    }

    /// Whose turn it is, who is well, and how many retries there may be.
    pub fn balance(&self) -> &RouteBalance {
        self.balance.get_or_init(|| RouteBalance::new(&self.backends))
    }

    /// Takes over what the route's entry in the table before knew of the same backends. Only before the table is served.
    pub(super) fn carry_over(&self, before: &Self) {
        self.balance.get_or_init(|| RouteBalance::after(&self.backends, before.balance()));
    }

    /// The label value of a model: itself if a match of the route names it whole.
    pub fn names_model(&self, model: &str) -> bool {
        let mut patterns = self.source.matches.iter().flat_map(|m| &m.models);
        patterns.any(|pattern| matches!(pattern, ModelPattern::Exact(name) if name == model))
    }
}

/// An upstream of a route.
pub struct BackendEntry {
    /// Its name within the route.
    pub name: String,
    /// Whose API it speaks.
    pub provider: Provider,
    /// Where connections go, and where the credential may go.
    pub origin: Origin,
    /// The `host` header.
    pub host: HeaderValue,
    /// Path that is put before the request's; without trailing slash, empty for none.
    pub base_path: String,
    /// The header that proves the relay to the upstream.
    pub credential: Option<(HeaderName, HeaderValue)>,
    /// What becomes of the model of a request.
    pub model: ModelRewrite,
    /// Headers that are set on the request.
    pub set_headers: Vec<(HeaderName, HeaderValue)>,
    /// Headers of the client that do not go up.
    pub remove_headers: Vec<HeaderName>,
    /// Its share among the backends of its priority; 0: none.
    pub weight: u32,
    /// 0 is asked first.
    pub priority: u32,
    /// Certificates (PEM) that sign the upstream's, instead of the system's roots.
    pub ca: Option<Arc<str>>,
}

/// Scheme, host and port: the unit of connection reuse, and of trust for a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// http or https.
    pub scheme: Scheme,
    /// Host and optional port.
    pub authority: Authority,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl BackendEntry {
    fn new(backend: &Backend) -> Option<Self> {
        let parts = backend.url.parse::<Uri>().ok()?.into_parts();
        let origin = Origin { scheme: parts.scheme?, authority: parts.authority? };
        let base_path = parts.path_and_query.map(|p| p.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        let credential = match &backend.credential {
            None => None,
            Some(credential) => Some(header_of(credential)?),
        };
        Some(Self {
            name: backend.name.clone(),
            provider: backend.provider,
            host: HeaderValue::from_str(origin.authority.as_str()).ok()?,
            origin,
            base_path,
            credential,
            model: backend.model.clone(),
            set_headers: backend.set_headers.iter().map(rule).collect::<Option<_>>()?,
            remove_headers: backend.remove_headers.iter().map(|name| name.parse().ok()).collect::<Option<_>>()?,
            weight: backend.weight,
            priority: backend.priority,
            ca: backend.ca.as_deref().map(Into::into),
        })
    }
}

fn rule(rule: &HeaderRule) -> Option<(HeaderName, HeaderValue)> {
    Some((rule.name.parse().ok()?, rule.value.parse().ok()?))
}

fn header_of(credential: &Credential) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(credential.header.as_bytes()).ok()?;
    let secret = credential.secret.as_ref()?.expose();
    let text = credential.scheme.as_ref().map_or_else(|| secret.to_owned(), |scheme| format!("{scheme} {secret}"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}
