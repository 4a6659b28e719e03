//! Backends: from what users write to where a request goes.

use crate::lexical::{has_length, is_label, is_token};
use crate::problem::{Problem, ensure, ensure_length};
use crate::{headers, secrets};
use relay_crds as crds;
use relay_crds::rules;
use relay_snapshot::{Backend, Credential, ModelRewrite, Provider};
use std::net::Ipv6Addr;

/// Parses the backend in field `at`. What its Secrets hold is still to be put in.
pub(crate) fn parse(at: &str, raw: &crds::Backend) -> Result<Backend, Problem> {
    ensure(is_label(&raw.name), at, ".name", NAME_FORM)?;
    let mut backend = Backend {
        credential: credential(at, raw)?,
        ..Backend::new(raw.name.clone(), provider(raw.provider), url(at, raw)?)
    };
    backend.model = model(&format!("{at}.model"), raw.model.as_ref())?;
    if let Some(raw) = &raw.headers {
        headers::rewrite(&format!("{at}.headers"), raw, &mut backend)?;
    }
    backend.weight = raw.weight.unwrap_or(1);
    ensure(backend.weight <= 1_000_000, at, ".weight", "must be 0 to 1000000")?;
    backend.priority = raw.priority.unwrap_or(0);
    ensure(backend.priority <= 15, at, ".priority", "must be 0 to 15")?;
    if let Some(tls) = &raw.tls {
        ensure(backend.url.starts_with("https://"), at, ".tls", rules::TLS_PLAINTEXT.1)?;
        secrets::parse_reference(&format!("{at}.tls.caRef"), &tls.ca_ref.to_secret_key())?;
    }
    Ok(backend)
}

fn model(at: &str, raw: Option<&crds::ModelRewrite>) -> Result<ModelRewrite, Problem> {
    let Some(raw) = raw else { return Ok(ModelRewrite::None) };
    let name = |field: &str, name: &str| ensure(has_length(name, 1, 256), field, "", "must have 1 to 256 characters");
    match (&raw.name, &raw.map) {
        (Some(to), None) => {
            name(&format!("{at}.name"), to)?;
            Ok(ModelRewrite::To(to.clone()))
        }
        (None, Some(map)) => {
            ensure_length(map.len(), 1, 64, &format!("{at}.map"))?;
            for (from, to) in map {
                let fine = has_length(from, 1, 256) && !from.contains('*');
                ensure(fine, at, ".map", rules::MODEL_MAP_KEY)?;
                name(&format!("{at}.map"), to)?;
            }
            Ok(ModelRewrite::Map(map.clone()))
        }
        _ => Err(Problem::invalid(at, rules::MODEL_ONE_OF.1)),
    }
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
        crds::Provider::AzureOpenAI => Provider::AzureOpenAI,
        crds::Provider::AzureSpeech => Provider::AzureSpeech,
        crds::Provider::Gemini => Provider::Gemini,
        crds::Provider::ElevenLabs => Provider::ElevenLabs,
        crds::Provider::Custom => Provider::Custom,
    }
}

/// The documented base URL of a provider; `None` where users must give it.
const fn default_url(provider: crds::Provider) -> Option<&'static str> {
    match provider {
        crds::Provider::OpenAI => Some("https://api.openai.com"),
        crds::Provider::Anthropic => Some("https://api.anthropic.com"),
        crds::Provider::SiliconFlow => Some("https://api.siliconflow.cn"),
        crds::Provider::Gemini => Some("https://generativelanguage.googleapis.com"),
        crds::Provider::ElevenLabs => Some("https://api.elevenlabs.io"),
        crds::Provider::AzureOpenAI | crds::Provider::AzureSpeech | crds::Provider::Custom => None,
    }
}

/// The documented header and scheme of a provider's key.
const fn default_header(provider: crds::Provider) -> Option<(&'static str, Option<&'static str>)> {
    match provider {
        crds::Provider::OpenAI | crds::Provider::SiliconFlow => Some(("authorization", Some("Bearer"))),
        crds::Provider::Anthropic => Some(("x-api-key", None)),
        crds::Provider::AzureOpenAI => Some(("api-key", None)),
        crds::Provider::AzureSpeech => Some(("ocp-apim-subscription-key", None)),
        crds::Provider::Gemini => Some(("x-goog-api-key", None)),
        crds::Provider::ElevenLabs => Some(("xi-api-key", None)),
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
    ensure(!headers::is_framing(&header), &at, ".header", rules::CREDENTIAL_HEADER_NAME.1)?;
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
