//! Configurations to serve.

use std::net::SocketAddr;

use relay_e2e::provider::script::sha256;
use relay_snapshot::{
    Backend, Budget, Calendar, Credential, KeyDigest, Limits, Match, ModelPattern, ObjectId, PathRule, Policy,
    Provider, RateLimit, Retries, Route, SecretText, Snapshot, Tenant, Timeouts, Unit,
};

/// The key of [`tenant`] `a`.
pub(crate) const KEY: &str = "tenant-key-of-a-0123456789";
/// The credential of every backend.
pub(crate) const CREDENTIAL: &str = "provider-credential-0123456789";

/// The key of a tenant.
pub(crate) fn key_of(tenant: &str) -> String {
    format!("tenant-key-of-{tenant}-0123456789")
}

/// A tenant without limits.
pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant {
        keys: vec![KeyDigest { name: "key".into(), sha256: sha256(key_of(name).as_bytes()), not_after: None }],
        ..Tenant::new(ObjectId::new("team", name))
    }
}

/// A tenant with a requests limit.
pub(crate) fn limited(name: &str, amount: u32, per_seconds: u64, burst: u32) -> Tenant {
    let requests = Some(RateLimit { amount, per_seconds, burst });
    Tenant { limits: Limits { requests, ..Limits::default() }, ..tenant(name) }
}

/// A tenant with a budget of so many tokens a day that ends its running streams.
pub(crate) fn stopping(name: &str, amount: u64) -> Tenant {
    let budget = Budget { stops_streams: true, ..daily(Unit::Tokens, amount) };
    Tenant { limits: Limits { budgets: vec![budget], ..Limits::default() }, ..tenant(name) }
}

/// The budget `daily`, of a day in UTC.
pub(crate) fn daily(unit: Unit, amount: u64) -> Budget {
    Budget {
        name: "daily".to_owned(),
        unit,
        amount,
        per: Calendar::Day,
        time_zone: "UTC".to_owned(),
        stops_streams: false,
    }
}

/// A backend in the clear, with a credential as its provider takes it.
pub(crate) fn backend(provider: Provider, addr: SocketAddr) -> Backend {
    let (header, scheme) = match provider {
        Provider::Anthropic => ("x-api-key", None),
        Provider::AzureSpeech => ("ocp-apim-subscription-key", None),
        _ => ("authorization", Some("Bearer".to_owned())),
    };
    Backend {
        credential: Some(Credential { header: header.to_owned(), scheme, secret: Some(SecretText::new(CREDENTIAL)) }),
        ..Backend::new(format!("on-{}", addr.port()), provider, format!("http://{addr}"))
    }
}

/// A route of tenant `a` by path prefix, with bounds that no test reaches, and one attempt for each request.
pub(crate) fn route(name: &str, prefix: &str, backends: Vec<Backend>) -> Route {
    Route {
        id: ObjectId::new("team", name),
        created: 0,
        tenants: vec![ObjectId::new("team", "a")],
        matches: vec![matching(PathRule::Prefix(prefix.to_owned()), &[])],
        backends,
        timeouts: Timeouts { first_byte_ms: 0, idle_ms: 0, ..Default::default() },
        body_max: 10 << 20,
        policy: Policy { retries: retrying(0), ..Policy::default() },
        limits: Limits::default(),
        ready: true,
    }
}

/// So many further attempts, by default for the statuses that are retried by default.
pub(crate) fn retrying(attempts: u32) -> Retries {
    Retries { attempts, ..Retries::default() }
}

/// A match by path and models, a star at the end for a prefix.
pub(crate) fn matching(path: PathRule, models: &[&str]) -> Match {
    let pattern = |model: &&str| match model.strip_suffix('*') {
        Some(prefix) => ModelPattern::Prefix(prefix.to_owned()),
        None => ModelPattern::Exact((*model).to_owned()),
    };
    Match { path, methods: Vec::new(), models: models.iter().map(pattern).collect(), headers: Vec::new() }
}

/// Tenant `a` and these routes.
pub(crate) fn snapshot(routes: Vec<Route>) -> Snapshot {
    Snapshot { routes, tenants: vec![tenant("a")] }
}

/// Tenant `a`, and a route for each API of one provider.
pub(crate) fn simple(addr: SocketAddr) -> Snapshot {
    snapshot(vec![
        route("openai", "/v1", vec![backend(Provider::OpenAI, addr)]),
        route("anthropic", "/v1/messages", vec![backend(Provider::Anthropic, addr)]),
        route("azure", "/cognitiveservices", vec![backend(Provider::AzureSpeech, addr)]),
    ])
}

/// [`simple`] with these timeouts in milliseconds.
pub(crate) fn timed(addr: SocketAddr, first_byte_ms: u64, idle_ms: u64) -> Snapshot {
    let mut snapshot = simple(addr);
    for route in &mut snapshot.routes {
        route.timeouts = Timeouts { first_byte_ms, idle_ms, ..Default::default() };
    }
    snapshot
}
