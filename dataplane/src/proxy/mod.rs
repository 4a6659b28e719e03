//! The way of a request: authenticate, find its route, admit, attempt, respond.

mod admit;
mod attempt;
mod credentials;
mod headers;
mod model;
mod peek;
mod query;
mod reading;
mod refusal;
mod request_id;
mod respond;
mod rewrite;
mod switch;
#[cfg(test)]
mod tests;

use crate::drain::{Cut, Drain, begun};
use crate::exchange::Exchange;
use crate::format::Family;
use crate::limits::Limiter;
use crate::metrics::Metrics;
use crate::reason::Reason;
use crate::relay::AnswerBody;
use crate::serving::Serving;
use crate::table::{Chosen, Found, ModelNeed, RouteEntry, Shown, Table, TenantEntry};
use crate::tunnel;
use crate::upstream::Upstreams;
use admit::{Admission, Told};
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_VERSION};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use peek::Peeked;
use refusal::Refusal;
pub use refusal::Turned;
use rewrite::PrefixRewrite;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use switch::Outcome;

/// Everything that requests share.
pub struct Proxy {
    /// What is served.
    pub serving: Arc<Serving>,
    /// Who may, now.
    pub limiter: Arc<Limiter>,
    /// Connections to providers.
    pub upstreams: Arc<Upstreams>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether it still goes on.
    pub drain: Drain,
}

impl Proxy {
    /// Serves one request. Dropped before its answer or during its body: the client went away, and so does the upstream's connection.
    /// `write_stall`: how long the client may take none of the bytes that wait for it.
    pub async fn serve(self: Arc<Self>, request: Request<Incoming>, write_stall: Duration) -> Response<AnswerBody> {
        let table = self.serving.table();
        let request_id = request_id::of(request.headers());
        let path = request.uri().path().to_owned();
        let mut exchange =
            Exchange::begin(Arc::clone(&self.metrics), request_id, request.method().clone(), path.clone());
        let mut told = None;
        let mut family = Family::of_path(&path);
        let (head, body) = request.into_parts();
        let asks_for_websocket = tunnel::is_asked_for(&head);
        let mut body = Peeked::new(&head, body);
        let outcome = tokio::select! {
            biased;
            outcome = self.answer(&table, head, &mut body, &mut exchange, &mut told, &mut family) => outcome,
            () = self.drain.cut.cancelled() => {
                Err(Refusal::new(Reason::Draining, family, "the relay is shutting down; please retry".to_owned()))
            }
        };
        let mut response = match outcome {
            Ok((Outcome::Answered(answered), tenant)) => respond::relayed(*answered, exchange, &self.drain, &tenant),
            Ok((Outcome::Switched(switching), tenant)) => {
                switching.into_response(exchange, &self.drain, tenant, write_stall)
            }
            Err(refusal) => {
                body.discard();
                refusal.into_response(exchange)
            }
        };
        headers::add_limits(response.headers_mut(), told.as_ref());
        headers::add_revision(response.headers_mut(), &table.revision);
        if asks_for_websocket && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            stay_http(&mut response);
        }
        response
    }

    async fn answer(
        &self,
        table: &Table,
        mut head: http::request::Parts,
        body: &mut Peeked,
        exchange: &mut Exchange,
        told: &mut Option<Told>,
        known_family: &mut Family,
    ) -> Result<(Outcome, Cut), Refusal> {
        let family = *known_family;
        let refuse = |reason, message: String| Refusal::new(reason, family, message);
        if has_dot_segments(head.uri.path()) {
            return Err(refuse(Reason::BadRequest, "the path must not contain . or .. segments".to_owned()));
        }

        if !METHODS.contains(&head.method) {
            return Err(refuse(Reason::BadRequest, format!("the method {} is not relayed", head.method)));
        }

        let tenant = authenticate(table, &head.headers, SystemTime::now(), exchange)
            .map_err(|(reason, text)| refuse(reason, text.into()))?;
        let Chosen { route, matched } = find_route(tenant, &head, body, family, exchange).await?;
        let prefix = route.policy.rewrite_prefix.as_deref().map(|with| PrefixRewrite { matched, with });
        let family = family_of(route, prefix, head.uri.path());
        *known_family = family;
        let refuse = |reason, message: String| Refusal::new(reason, family, message);
        if peek::declared_length(&head.headers).is_some_and(|length| length > route.body_max) {
            return Err(refuse(Reason::BodyTooLarge, too_large(&route.label, route.body_max)));
        }
        if route.backends.is_empty() {
            let message = format!("route {} is not ready: one of its references is not resolved", route.label);
            return Err(refuse(Reason::RouteNotReady, message));
        }
        let asked = switch::asked(route, prefix, &mut head, family)?;
        *told = self.admit(&Admission { tenant, route, prefix, family }, &head, body, exchange).await?;
        let cut = tenant.cut();
        // A whole answer is no stream, before its first byte as behind it.
        let limit = exchange.stop().filter(|_| exchange.streams).cloned();
        tokio::select! {
            biased;
            answered = self.attempt(route, prefix, head, body, exchange, family) => {
                Ok((switch::outcome(answered?, asked, &exchange.request_id), cut.clone()))
            }
            () = cut.cancelled() => Err(refuse(Reason::TenantSuspended, SUSPENDED.to_owned()).under_way()),
            () = begun(limit.as_ref()) => {
                let refusal = refuse(Reason::BudgetSpent, exchange.spends().unwrap_or_default().to_owned());
                Err(match told.take() {
                    Some(told) => refusal.limited(told, None),
                    None => refusal,
                })
            }
        }
    }
}

/// Says that an answer to a WebSocket handshake leaves HTTP as it is. The connection closes: what follows the handshake might be frames.
fn stay_http(response: &mut Response<AnswerBody>) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    if response.status() == StatusCode::BAD_REQUEST {
        // RFC 6455, section 4.2.2.
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, tunnel::VERSION);
    }
}

/// The methods that are relayed: those that a route can name. TRACE would show a tenant the provider's key, CONNECT asks for a tunnel.
static METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

const SUSPENDED: &str = "this tenant is suspended";

/// Whether an upstream could read the path as another one than routes are matched against (RFC 3986, section 5.2.4).
fn has_dot_segments(path: &str) -> bool {
    if !path.contains(['.', '%']) {
        return false;
    }
    let plain = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    // Some servers take what stands behind a semicolon for parameters of the segment.
    plain.split(['/', '\\']).any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

/// Whose request this is, before a byte of its body is read.
fn authenticate<'a>(
    table: &'a Table,
    headers: &http::HeaderMap,
    now: SystemTime,
    exchange: &mut Exchange,
) -> Result<&'a Arc<TenantEntry>, (Reason, &'static str)> {
    let key = match credentials::key_of(headers) {
        Ok(Some(key)) => key,
        Ok(None) => {
            return Err((
                Reason::KeyMissing,
                "no API key: send the tenant's key as Authorization: Bearer KEY or in the header that your SDK uses",
            ));
        }
        Err(credentials::Conflict) => {
            return Err((Reason::ConflictingCredentials, "two headers carry different API keys: send one"));
        }
    };
    let (caller, expired) = match table.caller(key, now) {
        Shown::Valid(caller) => (caller, false),
        Shown::Expired(caller) => (caller, true),
        Shown::Unknown => return Err((Reason::KeyUnknown, "incorrect API key provided: no tenant has this key")),
    };
    exchange.tenant = Some(Arc::clone(&caller.tenant.label));
    exchange.key_id = Some(caller.key_id);
    if expired {
        return Err((Reason::KeyExpired, "this API key has expired: ask for a new one"));
    }
    if caller.tenant.suspended {
        return Err((Reason::TenantSuspended, SUSPENDED));
    }
    Ok(caller.tenant)
}

/// The route, in the tenant's own table; reads the body only where a route asks for its model.
async fn find_route<'a>(
    tenant: &'a TenantEntry,
    head: &http::request::Parts,
    body: &mut Peeked,
    family: Family,
    exchange: &mut Exchange,
) -> Result<Chosen<'a>, Refusal> {
    let path = head.uri.path();
    let mut found = tenant.routes.find(&head.method, path, &head.headers, ModelNeed::Unknown);
    if tunnel::is_asked_for(head) && matches!(found, Found::NeedsModel { .. }) {
        let model = query::model_of(head.uri.query().unwrap_or_default());
        let twice = |_| Refusal::new(Reason::BadRequest, family, "the query names its model twice".to_owned());
        found =
            tenant.routes.find(&head.method, path, &head.headers, ModelNeed::Known(model.map_err(twice)?.as_deref()));
    }
    if let Found::NeedsModel { body_max } = found {
        let model = body.find_model(&head.headers, body_max).await;
        let too_large = || format!("the request body is longer than any route of {path} allows: {body_max} bytes");
        let model = model.map_err(|error| Refusal::of_body(error, family, too_large()))?;
        found = tenant.routes.find(&head.method, path, &head.headers, ModelNeed::Known(model.name.as_deref()));
        exchange.model.clone_from(&model.name);
    }
    let Found::Route(chosen) = found else {
        let message = format!("no route of tenant {} matches {} {path}", tenant.label, head.method);
        return Err(Refusal::new(Reason::NoRoute, family, message));
    };
    exchange.route = Some(Arc::clone(&chosen.route.label));
    exchange.names_model = exchange.model.as_deref().is_some_and(|model| chosen.route.names_model(model));
    Ok(chosen)
}

/// Whose error bodies the clients of a route read. All of its backends answer the same clients: the first one tells, by the path that goes to it.
fn family_of(route: &RouteEntry, prefix: Option<PrefixRewrite<'_>>, path: &str) -> Family {
    let (Some(backend), Some((format, path))) = (route.backends.first(), reading::spoken(route, prefix, path)) else {
        return Family::of_path(path);
    };
    Family::of(backend.provider, format, &path)
}

fn too_large(route: &str, max: u64) -> String {
    format!("the request body is longer than route {route} allows: {max} bytes")
}
