//! Headers that a route names.

use crate::lexical::is_header_name;
use crate::problem::{Problem, ensure, ensure_length};
use relay_crds as crds;
use relay_crds::rules;
use relay_snapshot::{Backend, HeaderRule};

/// Headers that say how a message is framed or where it goes: no object may name them anywhere.
const MESSAGE: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "expect",
];

/// Whether the header, in lower case, frames or routes a message; the list of [`rules::CREDENTIAL_HEADER_NAME`] and of [`rules::HEADER_FRAMING`].
pub(crate) fn is_framing(name: &str) -> bool {
    MESSAGE.contains(&name) || matches!(name, "content-type" | "accept-encoding")
}

/// Headers that carry a key.
const KEYS: [&str; 8] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "xi-api-key",
    "ocp-apim-subscription-key",
    "proxy-authorization",
    "cookie",
];

/// Whether a match may name the header, in lower case; all but the list of [`rules::MATCH_HEADER`].
pub(crate) fn can_be_matched(name: &str) -> bool {
    !MESSAGE.contains(&name) && !KEYS.contains(&name)
}

const NAME_FORM: &str = "must be letters, digits, - and _ only, 1 to 128 of them, such as x-tier";

/// The headers of the list in field `at`, by name in lower case and in its order.
pub(crate) fn values(at: &str, raw: &[crds::HeaderValue]) -> Result<Vec<HeaderRule>, Problem> {
    ensure_length(raw.len(), 0, 16, at)?;
    let mut rules: Vec<HeaderRule> = Vec::with_capacity(raw.len());
    for (index, header) in raw.iter().enumerate() {
        let at = format!("{at}[{index}]");
        ensure(is_header_name(&header.name), &at, ".name", NAME_FORM)?;
        ensure(is_value(&header.value), &at, ".value", rules::HEADER_VALUE.1)?;
        ensure(header.value.len() <= 4096, &at, ".value", "must have at most 4096 characters")?;
        let name = header.name.to_ascii_lowercase();
        ensure(rules.iter().all(|known| known.name != name), &at, ".name", rules::HEADERS_DISTINCT.1)?;
        rules.push(HeaderRule { name, value: header.value.clone() });
    }
    rules.sort();
    Ok(rules)
}

/// The rule [`rules::HEADER_VALUE`].
fn is_value(value: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_graphic());
    edge(value.bytes().next())
        && edge(value.bytes().last())
        && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// Puts the changes of headers in field `at` into the backend, whose credential is known.
pub(crate) fn rewrite(at: &str, raw: &crds::HeaderRewrite, backend: &mut Backend) -> Result<(), Problem> {
    let own = backend.credential.as_ref().map(|credential| credential.header.as_str());
    let free = |field: &str, name: &str| {
        let name = name.to_ascii_lowercase();
        ensure(!is_framing(&name), field, "", rules::HEADER_FRAMING.1)?;
        ensure(own != Some(&name), field, "", rules::HEADER_OF_CREDENTIAL.1)
    };
    let set = values(&format!("{at}.set"), &raw.set)?;
    for (index, header) in raw.set.iter().enumerate() {
        free(&format!("{at}.set[{index}].name"), &header.name)?;
    }
    ensure_length(raw.remove.len(), 0, 16, &format!("{at}.remove"))?;
    for (index, name) in raw.remove.iter().enumerate() {
        let field = format!("{at}.remove[{index}]");
        ensure(is_header_name(name), &field, "", NAME_FORM)?;
        free(&field, name)?;
    }
    let mut remove: Vec<String> = raw.remove.iter().map(|name| name.to_ascii_lowercase()).collect();
    remove.sort();
    // Names that differ in case only are one.
    remove.dedup();
    backend.set_headers = set;
    backend.remove_headers = remove;
    Ok(())
}
