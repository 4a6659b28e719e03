//! The model of a request that has it in its query, as those for a Realtime WebSocket do.

use super::credentials::decoded;
use http::Uri;
use http::uri::PathAndQuery;
use relay_snapshot::ModelRewrite;

/// The query names its model twice: which one counts can't be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

/// The `model` of a query.
pub(super) fn model_of(query: &str) -> Result<Option<String>, Ambiguous> {
    let mut models = query.split('&').filter(|part| is_model(part));
    let Some(first) = models.next() else { return Ok(None) };
    if models.next().is_some() {
        return Err(Ambiguous);
    }
    let value = first.split_once('=').map_or("", |(_, value)| value);
    Ok(String::from_utf8(decoded(value)).ok().filter(|model| !model.is_empty()))
}

fn is_model(part: &str) -> bool {
    decoded(part.split('=').next().unwrap_or_default()) == b"model"
}

/// The same URI with the model that a backend knows it by.
pub(super) fn with_model(uri: &Uri, rewrite: &ModelRewrite) -> Uri {
    let renamed = uri.query().and_then(|query| renamed(query, rewrite));
    let target = renamed.and_then(|query| format!("{}?{query}", uri.path()).parse::<PathAndQuery>().ok());
    target.map_or_else(|| uri.clone(), Uri::from)
}

fn renamed(query: &str, rewrite: &ModelRewrite) -> Option<String> {
    let model = model_of(query).ok()??;
    let new = match rewrite {
        ModelRewrite::None => return None,
        ModelRewrite::To(new) => new,
        ModelRewrite::Map(map) => map.get(&model)?,
    };
    let rename = |part: &str| if is_model(part) { format!("model={}", encoded(new)) } else { part.to_owned() };
    Some(query.split('&').map(rename).collect::<Vec<_>>().join("&"))
}

/// Percent-encoded but for what RFC 3986, section 2.3, leaves alone.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
