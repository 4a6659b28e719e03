//! The command line. Every flag has an environment variable, so that a chart sets either.

use crate::logging::LogFormat;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

const CLUSTER: &str = "Where things are";
const SERVING: &str = "This process";
const LOGS: &str = "Logs";

/// Watches RelayRoutes and RelayTenants and gives the proxies what they serve.
#[derive(Debug, Parser)]
#[command(
    name = "relay-operator",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a subcommand, `run` is meant. Exit codes: 0 fine, 1 bad input, 2 usage, 3 cannot start."
)]
pub struct Cli {
    /// What to do; `run` when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `run`, for when it is not named.
    #[command(flatten)]
    pub run: RunArguments,
    /// How to log.
    #[command(flatten)]
    pub logs: LogArguments,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator in a cluster. Replicas elect a leader; only the leader writes.
    Run(RunArguments),
    /// Print what proxies would get for these manifests, and the verdict on every object; for CI and GitOps previews.
    ///
    /// Reads RelayRoute, RelayTenant, Secret and Namespace documents and ignores others. Keys of providers are never printed.
    /// Exits with 1 when an object is refused or a file is not readable.
    Render(RenderArguments),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
}

/// Flags of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    /// Namespace of the proxies, of the objects that configure them, and of the Lease.
    #[arg(long, env = "RELAY_CONFIG_NAMESPACE", value_name = "NS", help_heading = CLUSTER)]
    pub config_namespace: Option<String>,
    /// Namespaces whose RelayRoutes, RelayTenants and Secrets are read. Empty: all.
    #[arg(long, env = "RELAY_WATCH_NAMESPACES", value_name = "NS,NS", value_delimiter = ',', help_heading = CLUSTER)]
    pub watch_namespaces: Vec<String>,
    /// Labels of the proxy pods in the config namespace.
    #[arg(long, env = "RELAY_PROXY_SELECTOR", value_name = "LABELS", default_value = "app.kubernetes.io/component=proxy",
          help_heading = CLUSTER)]
    pub proxy_selector: String,
    /// Admin port of the proxies, which tells the revision that they serve.
    #[arg(long, env = "RELAY_PROXY_ADMIN_PORT", value_name = "PORT", default_value_t = 9090, help_heading = CLUSTER)]
    pub proxy_admin_port: u16,
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, env = "RELAY_ADMIN", value_name = "ADDRESS", default_value = "0.0.0.0:9090", help_heading = SERVING)]
    pub admin: SocketAddr,
    /// Name of this replica as holder of the Lease `relay-operator`; must differ between replicas. Default: host name and process id.
    #[arg(long, env = "POD_NAME", value_name = "NAME", help_heading = SERVING)]
    pub identity: Option<String>,
}

/// Flags of `render`.
#[derive(Clone, Debug, Args)]
pub struct RenderArguments {
    /// YAML or JSON files, folders of them, or - for standard input.
    #[arg(required = true, value_name = "FILES")]
    pub files: Vec<PathBuf>,
    /// Form of the output.
    #[arg(long, short, value_enum, default_value_t = OutputFormat::Yaml)]
    pub output: OutputFormat,
    /// Also exit with 1 when a reference is not resolved. Without it that is only shown, since Secrets are rarely in git.
    #[arg(long)]
    pub strict: bool,
}

/// Flags of logging.
#[derive(Clone, Debug, Args)]
pub struct LogArguments {
    /// Form of the log lines on standard error.
    #[arg(long, env = "RELAY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true, help_heading = LOGS)]
    pub log_format: LogFormat,
    /// Level, or a filter such as info,relay_operator=debug.
    #[arg(long, env = "RELAY_LOG", value_name = "FILTER", default_value = "info", global = true, help_heading = LOGS)]
    pub log_level: String,
}

/// Form of what `render` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum OutputFormat {
    Yaml,
    Json,
}

/// What `run` needs to know, complete.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Namespace of proxies, configuration and Lease.
    pub config_namespace: String,
    /// Namespaces that are watched, in order, each once; empty: all.
    pub watch_namespaces: Vec<String>,
    /// Label selector of the proxy pods.
    pub proxy_selector: String,
    /// Admin port of the proxies.
    pub proxy_admin_port: u16,
    /// Own admin address.
    pub admin: SocketAddr,
    /// Own name in the election.
    pub identity: String,
}

impl RunArguments {
    /// Completes the arguments; `None` without a config namespace, which has no sane default.
    pub fn complete(self, host: &str) -> Option<RunOptions> {
        let named = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut watch_namespaces: Vec<String> = self.watch_namespaces.into_iter().filter_map(named).collect();
        watch_namespaces.sort();
        watch_namespaces.dedup();
        Some(RunOptions {
            config_namespace: self.config_namespace.and_then(named)?,
            watch_namespaces,
            proxy_selector: self.proxy_selector,
            proxy_admin_port: self.proxy_admin_port,
            admin: self.admin,
            identity: self.identity.and_then(named).unwrap_or_else(|| format!("{host}-{}", std::process::id())),
        })
    }
}

#[cfg(test)]
mod tests;
