//! The model of a request that has it in its query, as those for a Realtime WebSocket do.

use super::credentials::decoded;
use super::rewrite;
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

/// The query with the model that a backend knows it by; `None`: it stays as it is.
pub(super) fn renamed(query: &str, rewrite: &ModelRewrite) -> Option<String> {
    let model = model_of(query).ok()??;
    let wanted = rewrite::wanted(rewrite, Some(&model))?;
    let rename =
        |part: &str| if is_model(part) { format!("model={}", rewrite::encoded(wanted)) } else { part.to_owned() };
    Some(query.split('&').map(rename).collect::<Vec<_>>().join("&"))
}
