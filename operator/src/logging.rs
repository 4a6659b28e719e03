//! Log lines on standard error, as text or JSON.

use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum LogFormat {
    Text,
    Json,
}

/// The client library tells of every failed request and watch by itself; here each is told once, by the part that it concerns.
const QUIET: &str = "kube_runtime=error,kube_client::client::builder=off";

/// Starts logging by `filter`. To a bare level the client library's own noise is cut off.
pub fn start(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    let own = if filter.contains('=') { filter.to_owned() } else { format!("{filter},{QUIET}") };
    let filter = EnvFilter::builder().parse(own)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
