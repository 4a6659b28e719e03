//! Log lines on standard error, as text or JSON.

use clap::ValueEnum;
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
pub fn start(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    let filter = if filter.contains('=') {
        EnvFilter::builder().parse(filter)?
    } else {
        EnvFilter::builder().parse(format!("{filter},kube_runtime=error"))?
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
