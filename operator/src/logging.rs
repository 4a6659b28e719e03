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

/// Starts logging by `filter`. A bare level silences the watcher's own warnings: each of its errors is logged once by the store that it concerns.
/// The client's are silenced always: it logs whole answers that it can't parse, and they may hold Secrets.
pub fn start(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    let quiet = if filter.contains('=') { "" } else { ",kube_runtime=error" };
    let filter = EnvFilter::builder().parse(format!("{filter}{quiet},kube_client=error"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
