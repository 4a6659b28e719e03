//! Log lines on standard error, as text or JSON.

use clap::ValueEnum;
use std::io::IsTerminal;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, ParseError, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum LogFormat {
    Text,
    Json,
}

/// The client library tells of every failed request and watch by itself; here each is told once, by the part that it concerns.
const QUIET: &str = "kube_runtime=error,kube_client::client::builder=off";

/// Targets under which the client library quotes what the API server answered, the text of Secrets included: whole answers that it can't read, and
/// errors of its parser. No filter of a user opens them.
const MUTE: [&str; 2] = ["kube_client::client", "kube_runtime::watcher"];

/// Starts logging by `filter`. To a bare level the client library's own noise is cut off.
pub fn start(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    let filter = composed(filter)?;
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(lines).init();
    Ok(())
}

/// What the user asked for, without the targets that quote. By their exact names: the targets below them say what is worth knowing.
fn composed<S: Subscriber + for<'a> LookupSpan<'a>>(filter: &str) -> Result<impl Filter<S> + use<S>, ParseError> {
    let asked = if filter.contains('=') { filter.to_owned() } else { format!("{filter},{QUIET}") };
    let fit = |metadata: &Metadata| metadata.is_span() || !MUTE.contains(&metadata.target());
    Ok(EnvFilter::builder().parse(asked)?.and(filter_fn(fit)))
}

#[cfg(test)]
mod tests;
