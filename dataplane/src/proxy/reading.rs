//! What is read of a request's body before it is admitted, where a limit asks for it: how much it will use.

use super::peek::Peeked;
use super::respond::is_readable;
use super::rewrite::{self, PrefixRewrite};
use crate::exchange::Exchange;
use crate::format::{Asked, Content, Format, Prompt, Weight, characters};
use crate::limits::Estimate;
use crate::table::RouteEntry;
use crate::upstream::RequestBodyError;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use std::borrow::Cow;

/// So many bytes of a body are weighed before others have a turn: less than a millisecond.
const WEIGHED_AT_ONCE: usize = 256 << 10;

/// The format of a route's requests, and the path that goes up. All of a route's backends take the same bodies: the first one tells.
pub(super) fn spoken<'a>(
    route: &RouteEntry,
    prefix: Option<PrefixRewrite<'_>>,
    path: &'a str,
) -> Option<(Format, Cow<'a, str>)> {
    let backend = route.backends.first()?;
    let path = rewrite::path(backend, path, prefix);
    Some((Format::of(backend.provider, &path, route.policy.format), path))
}

/// How a body is weighed.
pub(super) fn content(headers: &HeaderMap) -> Content {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    Content::of(content_type, !is_readable(headers))
}

/// Lets others have a turn between pieces: a long body of many short strings takes some milliseconds.
async fn weigh(content: Content, text: &[u8]) -> Weight {
    let mut prompt = Prompt::new(content);
    let mut pieces = text.chunks(WEIGHED_AT_ONCE).peekable();
    while let Some(piece) = pieces.next() {
        prompt.push(piece);
        if pieces.peek().is_some() {
            tokio::task::yield_now().await;
        }
    }
    prompt.weight()
}

/// Whether it asks for a stream, by its whole body, which was read; `false` where nobody can tell.
pub(super) fn streams(route: &RouteEntry, prefix: Option<PrefixRewrite<'_>>, head: &Parts, body: &Peeked) -> bool {
    let Some((format, path)) = spoken(route, prefix, head.uri.path()) else { return false };
    format.allows_upgrade() || (is_readable(&head.headers) && format.streams(&path, body.read()))
}

/// What a request will use at most, by its whole body, which is kept. The exchange learns the same. Waits for the body no longer than 30 s.
pub(super) async fn estimate(
    route: &RouteEntry,
    prefix: Option<PrefixRewrite<'_>>,
    head: &Parts,
    body: &mut Peeked,
    exchange: &mut Exchange,
) -> Result<Estimate, RequestBodyError> {
    let Some((format, path)) = spoken(route, prefix, head.uri.path()) else { return Ok(Estimate::default()) };
    let most = route.policy.max_output;
    if format.allows_upgrade() {
        // Nothing is known of a session before. One answer at least.
        return Ok(Estimate { output: most, ..Estimate::default() });
    }
    let text = body.read_whole(route.body_max).await?;
    let characters = is_readable(&head.headers).then(|| characters::of_asked(format, text)).flatten();
    let asked = match text {
        [] => Asked::Nothing,
        _ if is_readable(&head.headers) => format.asks(&path, text),
        _ if format.is_prompt() => Asked::Answer { most: None },
        _ => Asked::Nothing,
    };
    let estimate = match asked {
        Asked::Nothing => Estimate::default(),
        Asked::Answer { most: named } => Estimate {
            input: weigh(content(&head.headers), text).await.tokens(),
            output: named.unwrap_or(most),
            characters: 0,
        },
    };
    let estimate = Estimate { characters: characters.unwrap_or_default(), ..estimate };
    exchange.cost.prompt = Some(estimate.input);
    exchange.cost.characters = estimate.characters;
    Ok(estimate)
}
