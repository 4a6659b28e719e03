//! `/_fake/`: what tests ask the provider about itself. Needs no credential and is not recorded.

use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::json;

use super::behaviour::MAX_TOKENS;
use super::reply::Reply;
use super::script;
use super::serve::State;

/// Longest audio to hash on demand, in bytes: 1 GiB.
const MAX_HASHED: usize = 1 << 30;

pub(super) async fn answer(state: &State, parts: &Parts) -> Reply {
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/_fake/health") => Reply::whole(StatusCode::OK, "text/plain", "ok\n"),
        (&Method::GET, "/_fake/live") => Reply::json(StatusCode::OK, &json!({"live": state.log.live()})),
        (&Method::GET, "/_fake/requests") => match number(parts, "after", u64::MAX) {
            Some(after) => requests(state, after.unwrap_or(0)),
            None => refuse("after must be a number"),
        },
        (&Method::DELETE, "/_fake/requests") => {
            state.log.clear();
            Reply::json(StatusCode::OK, &json!({}))
        }
        (&Method::GET, "/_fake/script") => match size(parts, "tokens", MAX_TOKENS) {
            Some(tokens) => Reply::whole(StatusCode::OK, "text/plain; charset=utf-8", script::text(tokens)),
            None => refuse("tokens must be a number up to 1000000"),
        },
        (&Method::GET, "/_fake/audio-sha256") => match size(parts, "bytes", MAX_HASHED) {
            Some(bytes) => hashed(bytes).await,
            None => refuse("bytes must be a number up to 1 GiB"),
        },
        _ => Reply::json(
            StatusCode::NOT_FOUND,
            &json!({"error": "GET /_fake/{requests,live,health,script,audio-sha256}, DELETE /_fake/requests"}),
        ),
    }
}

fn requests(state: &State, after: u64) -> Reply {
    match serde_json::to_vec(&state.log.requests(after)) {
        Ok(list) => Reply::whole(StatusCode::OK, "application/json", list),
        Err(error) => Reply::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": error.to_string()})),
    }
}

async fn hashed(bytes: usize) -> Reply {
    // Up to seconds of work: not on the threads that stream.
    match tokio::task::spawn_blocking(move || script::audio_sha256(bytes)).await {
        Ok(hash) => Reply::whole(StatusCode::OK, "text/plain", hash),
        Err(error) => Reply::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": error.to_string()})),
    }
}

fn refuse(message: &str) -> Reply {
    Reply::json(StatusCode::BAD_REQUEST, &json!({"error": message}))
}

fn size(parts: &Parts, name: &str, most: usize) -> Option<usize> {
    number(parts, name, most as u64).flatten().and_then(|number| usize::try_from(number).ok())
}

/// A number of the query; the inner none when it is not there, the outer when it is no number or above `most`.
#[expect(clippy::option_option, reason = "absent and wrong are answered differently")]
fn number(parts: &Parts, name: &str, most: u64) -> Option<Option<u64>> {
    let query = parts.uri.query().unwrap_or_default();
    let Some(value) = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name) else {
        return Some(None);
    };
    value.1.parse().ok().filter(|number| *number <= most).map(Some)
}
