//! From an HTTP request to the response whose body plays the answer.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use serde_json::Value;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::call::Call;
use super::record::{Exchange, Log, Received, body_text, header_list, protocol};
use super::reply::{Reply, set};
use super::server::Config;
use super::target::Target;
use super::wire::Control;
use super::{azure, body::ScriptBody, control, realtime, script};

/// Largest request body, in bytes; more is 413.
pub const MAX_BODY: usize = 64 << 20;

/// What all connections share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: Config,
    pub(super) log: Arc<Log>,
    /// Cancelled when WebSockets must end.
    pub(super) sessions: CancellationToken,
}

/// Answers one request. Whether it is recorded depends on its path: `/_fake/` looks at the log and is not in it.
pub(super) async fn handle(
    state: Arc<State>,
    connection: Arc<Control>,
    request: Request<Incoming>,
) -> Result<Response<ScriptBody>, Infallible> {
    let http2 = request.version() == Version::HTTP_2;
    let (mut parts, body) = request.into_parts();
    let (reply, exchange) = if parts.uri.path().starts_with("/_fake/") {
        (control::answer(&state, &parts).await, None)
    } else if realtime::is_asked_for(&parts) {
        switch(&state, &mut parts, &connection)
    } else {
        let (reply, exchange) = answer(&state, &parts, body).await;
        (reply, Some(exchange))
    };
    sleep(reply.delay).await;
    let mut headers = reply.headers;
    if let Some(identity) = &state.config.identity {
        set(&mut headers, "x-fake-identity", identity);
    }
    if let Some(exchange) = &exchange {
        exchange.head(reply.status.as_u16());
    }
    let body = ScriptBody::new(reply.steps, reply.length, http2, exchange, connection).keeping(state.config.keep);
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Answers a request for a WebSocket.
fn switch(state: &Arc<State>, parts: &mut Parts, connection: &Arc<Control>) -> (Reply, Option<Exchange>) {
    let (n, started_ms) = (state.log.number(), state.log.now_ms());
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let model = realtime::model(parts).unwrap_or_default().to_owned();
    let exchange =
        state.log.begin(Received { model: Some(model.clone()), ..received(parts, n, started_ms, b"", None) });
    let call = Call {
        n,
        config: &state.config,
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        target: Target::of(parts.method.as_str(), parts.uri.path(), &parts.headers),
        headers: &parts.headers,
        body: b"",
        json: None,
        unix: started_ms / 1000,
    };
    match (call.refusal(), upgrade) {
        (None, Some(upgrade)) => realtime::answer(state, &call, &model, upgrade, exchange, Arc::clone(connection)),
        (refusal, _) => (refusal.unwrap_or_else(|| call.answer()), Some(exchange)),
    }
}

async fn answer(state: &State, parts: &Parts, body: Incoming) -> (Reply, Exchange) {
    let (n, started_ms) = (state.log.number(), state.log.now_ms());
    let (body, whole) = read(body).await;
    let json: Option<Value> = serde_json::from_slice(&body).ok();
    let exchange = state.log.begin(received(parts, n, started_ms, &body, json.as_ref()));
    let reply = match whole {
        Ok(()) => {
            let call = Call {
                n,
                config: &state.config,
                method: &parts.method,
                path: parts.uri.path(),
                query: parts.uri.query().unwrap_or_default(),
                target: Target::of(parts.method.as_str(), parts.uri.path(), &parts.headers),
                headers: &parts.headers,
                body: &body,
                json: json.as_ref(),
                unix: started_ms / 1000,
            };
            call.answer()
        }
        Err(status) => Reply::whole(status, "text/plain", "the request body did not arrive whole or is over 64 MiB"),
    };
    (reply, exchange)
}

/// The body as far as it came, and the status to refuse it with if that is not all of it.
async fn read(mut body: Incoming) -> (Bytes, Result<(), StatusCode>) {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (bytes.freeze(), Err(StatusCode::BAD_REQUEST)) };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BODY {
            return (bytes.freeze(), Err(StatusCode::PAYLOAD_TOO_LARGE));
        }
        bytes.extend_from_slice(&data);
    }
    (bytes.freeze(), Ok(()))
}

fn received(parts: &Parts, n: u64, started_ms: u64, body: &[u8], json: Option<&Value>) -> Received {
    let target = Target::of(parts.method.as_str(), parts.uri.path(), &parts.headers);
    let model = target.model.or_else(|| match json {
        // ElevenLabs has its own word for it.
        Some(json) => json.get("model").or_else(|| json.get("model_id")).and_then(Value::as_str),
        None => std::str::from_utf8(body).ok().and_then(azure::voice),
    });
    Received {
        n,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        protocol: protocol(parts.version).to_owned(),
        headers: header_list(&parts.headers),
        body_bytes: body.len(),
        body_sha256: script::sha256(body),
        body_text: body_text(body),
        model: model.map(str::to_owned),
        started_ms,
    }
}
