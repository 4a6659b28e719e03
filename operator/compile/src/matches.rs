//! Matches: from what users write to which requests a route takes.

use crate::headers;
use crate::lexical::has_length;
use crate::problem::{Problem, ensure, ensure_distinct, ensure_length};
use relay_crds as crds;
use relay_crds::rules;
use relay_snapshot::{Match, ModelPattern, PathRule};

/// Parses the match in field `at`.
pub(crate) fn parse(at: &str, raw: &crds::RouteMatch) -> Result<Match, Problem> {
    let path = parse_path(&format!("{at}.path"), &raw.path)?;
    let field = format!("{at}.methods");
    ensure_length(raw.methods.len(), 0, 8, &field)?;
    ensure_distinct(&raw.methods, &field, "")?;
    let field = format!("{at}.models");
    ensure_length(raw.models.len(), 0, 32, &field)?;
    for (index, model) in raw.models.iter().enumerate() {
        let field = format!("{field}[{index}]");
        // One rule for empty and misplaced stars, since the API server's also covers both.
        ensure(!model.is_empty() && !without_last(model).contains('*'), &field, "", rules::MODEL_FORM.1)?;
        ensure(has_length(model, 1, 256), &field, "", "must have at most 256 characters")?;
    }
    ensure_distinct(&raw.models, &field, "")?;
    let field = format!("{at}.headers");
    let headers = headers::values(&field, &raw.headers)?;
    for (index, rule) in raw.headers.iter().enumerate() {
        let name = rule.name.to_ascii_lowercase();
        ensure(headers::can_be_matched(&name), &field, &format!("[{index}].name"), rules::MATCH_HEADER.1)?;
    }
    // Sets, on which the order says nothing: an apply that merges them in another order is no new revision.
    let mut methods: Vec<String> = raw.methods.iter().map(|method| method_name(*method).to_owned()).collect();
    methods.sort();
    let mut models = raw.models.clone();
    models.sort();
    Ok(Match { path, methods, models: models.iter().map(|model| pattern(model)).collect(), headers })
}

fn without_last(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next_back();
    characters.as_str()
}

fn pattern(model: &str) -> ModelPattern {
    match model.strip_suffix('*') {
        Some(prefix) => ModelPattern::Prefix(prefix.to_owned()),
        None => ModelPattern::Exact(model.to_owned()),
    }
}

const fn method_name(method: crds::HttpMethod) -> &'static str {
    match method {
        crds::HttpMethod::Get => "GET",
        crds::HttpMethod::Head => "HEAD",
        crds::HttpMethod::Post => "POST",
        crds::HttpMethod::Put => "PUT",
        crds::HttpMethod::Patch => "PATCH",
        crds::HttpMethod::Delete => "DELETE",
        crds::HttpMethod::Options => "OPTIONS",
    }
}

fn parse_path(at: &str, raw: &crds::PathMatch) -> Result<PathRule, Problem> {
    let (path, leaf) = match (&raw.prefix, &raw.exact) {
        (Some(prefix), None) => (prefix, ".prefix"),
        (None, Some(exact)) => (exact, ".exact"),
        _ => return Err(Problem::invalid(at, rules::PATH_ONE_OF.1)),
    };
    ensure(is_path(path), at, leaf, rules::PATH_FORM.1)?;
    ensure(has_length(path, 1, 1024), at, leaf, "must have at most 1024 characters")?;
    Ok(match raw.prefix {
        Some(_) if path.len() > 1 => PathRule::Prefix(path.trim_end_matches('/').to_owned()),
        Some(_) => PathRule::Prefix(path.clone()),
        None => PathRule::Exact(path.clone()),
    })
}

/// The rule [`rules::PATH_FORM`].
pub(crate) fn is_path(path: &str) -> bool {
    let byte = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'%');
    path.starts_with('/')
        && path.bytes().all(byte)
        && !path.contains("//")
        && !path.split('/').any(|segment| segment == "." || segment == "..")
}
