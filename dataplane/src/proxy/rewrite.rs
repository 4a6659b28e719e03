//! What of a request is another for a backend: its path, and the model that it asks for.

use super::credentials;
use super::peek::Model;
use crate::table::BackendEntry;
use crate::upstream::Splice;
use http::Uri;
use http::uri::PathAndQuery;
use relay_snapshot::{ModelRewrite, Provider};
use std::borrow::Cow;
use std::fmt::Write;

/// Where a route matched, and what it puts there.
#[derive(Clone, Copy, Debug)]
pub(super) struct PrefixRewrite<'a> {
    /// What the route matched of the path.
    pub(super) matched: &'a str,
    /// What stands there upstream.
    pub(super) with: &'a str,
}

/// The path that goes to the backend, without the backend's base path; `%`-encoded as it came, but for what is replaced.
pub(super) fn path<'a>(backend: &BackendEntry, path: &'a str, prefix: Option<PrefixRewrite<'_>>) -> Cow<'a, str> {
    let path = match prefix {
        Some(prefix) => replaced(path, prefix),
        None => Cow::Borrowed(path),
    };
    match model_in_path(backend, &path) {
        Some(path) => Cow::Owned(path),
        None => path,
    }
}

/// The path behind the backend's base path, and the client's query less any key; `None` where the two are no path.
pub(super) fn uri(backend: &BackendEntry, path: &str, query: Option<&str>) -> Option<Uri> {
    let mut target = format!("{}{path}", backend.base_path);
    if let Some(query) = query.and_then(credentials::without_keys) {
        target.push('?');
        target.push_str(&query);
    }
    target.parse::<PathAndQuery>().ok().map(Uri::from)
}

/// Whole segments are matched, so what follows is nothing or begins with a slash; a slash at the end of either prefix is no segment.
fn replaced<'a>(path: &'a str, prefix: PrefixRewrite<'_>) -> Cow<'a, str> {
    let Some(rest) = path.strip_prefix(prefix.matched.trim_end_matches('/')) else { return Cow::Borrowed(path) };
    let replaced = format!("{}{rest}", prefix.with.trim_end_matches('/'));
    Cow::Owned(if replaced.is_empty() { "/".to_owned() } else { replaced })
}

/// Whether the model of this request stands in its path rather than in its body.
pub(super) fn is_in_path(provider: Provider, path: &str) -> bool {
    segment(provider, path).is_some()
}

/// The path with another model in it: of Gemini behind `/models/` up to the verb, of Azure OpenAI the deployment.
fn model_in_path(backend: &BackendEntry, path: &str) -> Option<String> {
    let range = segment(backend.provider, path)?;
    let model = credentials::decoded(path.get(range.clone())?);
    let wanted = wanted(&backend.model, std::str::from_utf8(&model).ok())?;
    let (front, back) = (path.get(..range.start)?, path.get(range.end..)?);
    Some(format!("{front}{}{back}", encoded(wanted)))
}

fn segment(provider: Provider, path: &str) -> Option<std::ops::Range<usize>> {
    let (collection, ends): (&str, &[char]) = match provider {
        Provider::Gemini => ("/models/", &[':', '/']),
        Provider::AzureOpenAI => ("/deployments/", &['/']),
        _ => return None,
    };
    let start = path.find(collection)? + collection.len();
    let rest = path.get(start..)?;
    let length = rest.find(ends).unwrap_or(rest.len());
    (length > 0).then_some(start..start + length)
}

/// RFC 3986, section 2.3: everything but unreserved characters is encoded.
pub(super) fn encoded(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String never fails.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The model to ask for; `None`: the one that the client named.
pub(super) fn wanted<'a>(rewrite: &'a ModelRewrite, model: Option<&str>) -> Option<&'a str> {
    match rewrite {
        ModelRewrite::None => None,
        ModelRewrite::To(to) => Some(to),
        ModelRewrite::Map(map) => map.get(model?).map(String::as_str),
    }
}

/// The bytes of the body that are others for this backend: the value of the top-level `model`, where there is one and it is a string.
pub(super) fn body(backend: &BackendEntry, model: &Model) -> Option<Splice> {
    let wanted = wanted(&backend.model, model.name.as_deref())?;
    let range = model.place.clone()?;
    // A string always has a JSON text.
    let with = serde_json::to_vec(wanted).ok()?;
    Some(Splice { range, with: with.into() })
}
