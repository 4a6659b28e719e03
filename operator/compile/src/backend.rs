//! Backends: from what users write to where a request goes.

use crate::lexical::{has_length, is_label, is_token};
use crate::problem::{Problem, ensure};
use crate::secrets;
use relay_crds as crds;
use relay_crds::rules;
use relay_snapshot::{Backend, Credential, Provider};
use std::net::Ipv6Addr;

/// Headers that frame or route a message; the list of [`rules::CREDENTIAL_HEADER_NAME`].
const FRAMING_HEADERS: [&str; 12] = [
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
    "content-type",
    "accept-encoding",
];

/// Parses the backend in field `at`. The credential's secret is still to be put in.
pub(crate) fn parse(at: &str, raw: &crds::Backend) -> Result<Backend, Problem> {
    ensure(is_label(&raw.name), at, ".name", NAME_FORM)?;
    Ok(Backend {
        credential: credential(at, raw)?,
        ..Backend::new(raw.name.clone(), provider(raw.provider), url(at, raw)?)
    })
}

/// What names of backends and keys look like.
pub(crate) const NAME_FORM: &str =
    "must be 1 to 63 lower-case letters, digits and -, and begin and end with a letter or digit";

/// The provider in the words of the snapshot.
pub(crate) const fn provider(raw: crds::Provider) -> Provider {
    match raw {
        crds::Provider::OpenAI => Provider::OpenAI,
        crds::Provider::Anthropic => Provider::Anthropic,
        crds::Provider::SiliconFlow => Provider::SiliconFlow,
        crds::Provider::AzureSpeech => Provider::AzureSpeech,
        crds::Provider::Custom => Provider::Custom,
    }
}

/// The documented base URL of a provider; `None` where users must give it.
const fn default_url(provider: crds::Provider) -> Option<&'static str> {
    match provider {
        crds::Provider::OpenAI => Some("https://api.openai.com"),
        crds::Provider::Anthropic => Some("https://api.anthropic.com"),
        crds::Provider::SiliconFlow => Some("https://api.siliconflow.cn"),
        crds::Provider::AzureSpeech | crds::Provider::Custom => None,
    }
}

/// The documented header and scheme of a provider's key.
const fn default_header(provider: crds::Provider) -> Option<(&'static str, Option<&'static str>)> {
    match provider {
        crds::Provider::OpenAI | crds::Provider::SiliconFlow => Some(("authorization", Some("Bearer"))),
        crds::Provider::Anthropic => Some(("x-api-key", None)),
        crds::Provider::AzureSpeech => Some(("ocp-apim-subscription-key", None)),
        crds::Provider::Custom => None,
    }
}

/// The URL in its one form: as given, without slashes at the end.
fn url(at: &str, raw: &crds::Backend) -> Result<String, Problem> {
    let Some(url) = raw.url.as_deref() else {
        let default = default_url(raw.provider);
        return default.map(str::to_owned).ok_or_else(|| Problem::invalid(format!("{at}.url"), rules::URL_REQUIRED.1));
    };
    ensure(has_length(url, 8, 2048), at, ".url", "must have 8 to 2048 characters, such as https://api.example.com")?;
    let encrypted = url.starts_with("https://");
    let consented = url.starts_with("http://") && raw.allow_plaintext == Some(true);
    ensure(encrypted || consented, at, ".url", rules::PLAINTEXT.1)?;
    ensure(is_base_url(url), at, ".url", rules::URL_FORM.1)?;
    Ok(url.trim_end_matches('/').to_owned())
}

/// The rule [`rules::URL_FORM`], and that the host is one: what the proxy could not dial is refused before.
fn is_base_url(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path_byte = |b: u8| b.is_ascii_alphanumeric() || b"._~!$&()*+,;=:%/-".contains(&b);
    let name_byte = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let bracketed = authority.strip_prefix('[').and_then(|inner| inner.split_once(']'));
    let (host, port) = if let Some((address, port)) = bracketed {
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        (!name.is_empty() && name.bytes().all(name_byte), port)
    };
    host && is_port(port) && path.bytes().all(path_byte) && url.parse::<http::Uri>().is_ok()
}

/// Nothing, or `:` and a number from 1 to 65535 without zeros in front.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => {
            digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0') && digits.parse::<u16>().is_ok()
        }
        None => text.is_empty(),
    }
}

fn credential(at: &str, raw: &crds::Backend) -> Result<Option<Credential>, Problem> {
    let Some(credential) = &raw.credential else {
        let optional = raw.provider == crds::Provider::Custom;
        ensure(optional, at, ".credential", rules::CREDENTIAL_REQUIRED.1)?;
        return Ok(None);
    };
    let at = format!("{at}.credential");
    secrets::parse_reference(&format!("{at}.secretRef"), &credential.secret_ref)?;
    let form = "must be letters, digits and - only";
    let default = default_header(raw.provider);
    let header = match (&credential.header, default) {
        (Some(header), _) => header.to_ascii_lowercase(),
        (None, Some((header, _))) => header.to_owned(),
        (None, None) => return Err(Problem::invalid(format!("{at}.header"), rules::CREDENTIAL_HEADER.1)),
    };
    ensure(is_token(&header, 128), &at, ".header", &format!("{form}, 1 to 128 of them, such as x-api-key"))?;
    ensure(!FRAMING_HEADERS.contains(&header.as_str()), &at, ".header", rules::CREDENTIAL_HEADER_NAME.1)?;
    let scheme = match (&credential.scheme, default) {
        (Some(scheme), _) => Some(scheme.clone()),
        // The provider's scheme belongs to the provider's header: in another one, Bearer would be part of the key.
        (None, Some((own, scheme))) if own == header => scheme.map(str::to_owned),
        (None, _) => None,
    };
    let fine = scheme.as_ref().is_none_or(|scheme| is_token(scheme, 32));
    ensure(fine, &at, ".scheme", &format!("{form}, 1 to 32 of them, such as Bearer"))?;
    Ok(Some(Credential { header, scheme, secret: None }))
}

#[cfg(test)]
mod tests;
