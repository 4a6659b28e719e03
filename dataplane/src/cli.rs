//! What the user typed, and what it means.

#[cfg(test)]
mod tests;

use crate::upstream::{Cidr, HostOverride};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use relay_snapshot::SecretText;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Streaming relay for LLM and TTS APIs: authenticates tenants, holds their limits, puts the provider's credential in, and relays streams byte for byte.
///
/// In a cluster the operator writes the configuration (--config-dir); without one the same RelayRoute and RelayTenant manifests are read from a
/// folder (--manifests). Exit codes: 0 fine, 1 bad input, 2 usage, 3 cannot start.
#[derive(Debug, Parser)]
#[command(name = "relay-dataplane", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// A task other than serving.
    #[command(subcommand)]
    pub task: Option<Task>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

impl Cli {
    /// Reads what the user typed, and the environment. Of the sources of configuration, a flag goes before a variable.
    ///
    /// # Errors
    /// What is wrong with it, or the text that was asked for by `--help` or `--version`; the exit code of both is in it.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::read_with(Self::command(), args)
    }

    fn read_with(mut command: Command, args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = command.try_get_matches_from_mut(args)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        if cli.task.is_none() {
            let is_flag = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
            cli.serve.choose_source(is_flag).map_err(|text| command.error(ErrorKind::ArgumentConflict, text))?;
        }
        Ok(cli)
    }
}

/// A task other than serving.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Checks a folder of manifests and prints every problem with file, line, field and cure. Exit code 1 if there is an error.
    Check {
        /// The folder.
        dir: PathBuf,
    },
    /// Makes a tenant key: prints the key, and the sha256 to put into a RelayTenant's apiKeys.
    Key,
}

/// How to serve.
#[derive(Debug, Args)]
pub struct Serve {
    /// Folder with the configuration that the operator writes: the mounted volume.
    #[arg(long, env = "RELAY_CONFIG_DIR", value_name = "DIR", help_heading = "Configuration")]
    pub config_dir: Option<PathBuf>,
    /// Folder with RelayRoute, RelayTenant and Secret manifests, to run without a cluster; reloaded on change. Values of Secrets may be ${ENV_NAME}.
    #[arg(long, env = "RELAY_MANIFESTS", value_name = "DIR", help_heading = "Configuration")]
    pub manifests: Option<PathBuf>,
    /// Also watch the configuration in this namespace through the API server: changes arrive in milliseconds, not with the kubelet's next sync.
    #[arg(long, env = "RELAY_CONFIG_NAMESPACE", value_name = "NAMESPACE", help_heading = "Configuration")]
    pub config_namespace: Option<String>,
    /// Address for clients [default: 0.0.0.0:8080, with --manifests 127.0.0.1:8080].
    #[arg(long, env = "RELAY_LISTEN", value_name = "ADDRESS", help_heading = "Addresses")]
    pub listen: Option<SocketAddr>,
    /// Address of /metrics, /healthz, /readyz and /revision [default: 0.0.0.0:9090, with --manifests 127.0.0.1:9090].
    #[arg(long, env = "RELAY_ADMIN", value_name = "ADDRESS", help_heading = "Addresses")]
    pub admin: Option<SocketAddr>,
    /// Folder with tls.crt and tls.key, such as a mounted Secret: clients must speak TLS (1.2 or 1.3). Read again whenever it changes.
    #[arg(long, env = "RELAY_TLS_DIR", value_name = "DIR", help_heading = "Clients")]
    pub tls_dir: Option<PathBuf>,
    /// Connections of clients at once; one more is closed [default: by file descriptors and memory].
    #[arg(long, env = "RELAY_MAX_CONNECTIONS", value_name = "N", help_heading = "Clients", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: Option<u32>,
    /// Requests under way at once; one more is answered 503 [default: by file descriptors and memory].
    #[arg(long, env = "RELAY_MAX_REQUESTS", value_name = "N", help_heading = "Clients", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_requests: Option<u32>,
    /// How long a client may take none of the bytes that wait for it before its connection is closed.
    #[arg(long, env = "RELAY_WRITE_STALL", value_name = "TIME", default_value = "60s", value_parser = duration, help_heading = "Clients")]
    pub write_stall: Duration,
    /// Connect to ADDRESS for HOST without asking DNS; may be given several times (comma-separated in the environment).
    #[arg(long, env = "RELAY_RESOLVE", value_name = "HOST=ADDRESS", value_delimiter = ',', help_heading = "Upstreams")]
    pub resolve: Vec<HostOverride>,
    /// Allow upstreams in RANGE, such as 127.0.0.0/8 for a model on this machine: loopback, link-local, metadata, unspecified, multicast and reserved addresses are refused otherwise, and so is --deny-cidr; may be given several times (comma-separated).
    #[arg(long, env = "RELAY_ALLOW_CIDR", value_name = "RANGE", value_delimiter = ',', help_heading = "Upstreams")]
    pub allow_cidr: Vec<Cidr>,
    /// Refuse upstreams in RANGE too, such as the cluster's pods and services, but for what --allow-cidr opens; may be given several times (comma-separated).
    #[arg(long, env = "RELAY_DENY_CIDR", value_name = "RANGE", value_delimiter = ',', help_heading = "Upstreams")]
    pub deny_cidr: Vec<Cidr>,
    /// Redis that shares the limits between proxies: redis://host:6379/0, rediss:// for TLS, redis+sentinel://host,host/MASTER, redis+cluster://host,host or redis+unix:///path. Without it each proxy counts for itself.
    #[arg(long, env = "RELAY_REDIS_URL", value_name = "URL", hide_env_values = true, help_heading = "Limits")]
    pub redis_url: Option<SecretText>,
    /// User at Redis, in place of the URL's.
    #[arg(long, env = "RELAY_REDIS_USERNAME", value_name = "NAME", help_heading = "Limits")]
    pub redis_username: Option<String>,
    /// Password at Redis, in place of the URL's.
    #[arg(
        long,
        env = "RELAY_REDIS_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true,
        help_heading = "Limits"
    )]
    pub redis_password: Option<SecretText>,
    /// File with the certificates (PEM) that sign Redis', in place of the system's.
    #[arg(long, env = "RELAY_REDIS_CA", value_name = "FILE", help_heading = "Limits")]
    pub redis_ca: Option<PathBuf>,
    /// How many proxies share the limits, until they have counted themselves in Redis: each holds its part while Redis is away.
    #[arg(long, env = "RELAY_REPLICAS", value_name = "N", default_value_t = 1, help_heading = "Limits", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub replicas: u32,
    /// On SIGTERM: how long to go on accepting, not ready, until load balancers look elsewhere.
    #[arg(long, env = "RELAY_LAME_DUCK", value_name = "TIME", default_value = "5s", value_parser = duration, help_heading = "Shutdown")]
    pub lame_duck: Duration,
    /// Then: how long running streams may go on before they are ended with their format's error event.
    #[arg(long, env = "RELAY_DRAIN_TIMEOUT", value_name = "TIME", default_value = "600s", value_parser = duration, help_heading = "Shutdown")]
    pub drain_timeout: Duration,
    /// Form of the log, which goes to standard error.
    #[arg(long, env = "RELAY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, help_heading = "Log")]
    pub log_format: LogFormat,
    /// error, warn, info (one line a request), debug, or a filter such as info,relay::request=off.
    #[arg(long, env = "RELAY_LOG", value_name = "LEVEL", default_value = "info", help_heading = "Log")]
    pub log_level: String,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// A cluster's: the mounted volume, and the namespace to watch.
    Cluster {
        /// The volume.
        dir: PathBuf,
        /// Where the index is watched.
        namespace: Option<String>,
    },
    /// A folder of manifests.
    Manifests(PathBuf),
}

impl Serve {
    /// Leaves one source of configuration. `is_flag`: whether the argument of this id was given as a flag, not by the environment.
    fn choose_source(&mut self, is_flag: impl Fn(&str) -> bool) -> Result<(), &'static str> {
        if self.config_dir.is_some() && self.manifests.is_some() {
            match (is_flag("config_dir"), is_flag("manifests")) {
                (true, false) => self.manifests = None,
                (false, true) => self.config_dir = None,
                (true, true) => return Err("--config-dir can't be used with --manifests: give one of them"),
                (false, false) => {
                    return Err("RELAY_CONFIG_DIR can't be used with RELAY_MANIFESTS: set one of them, or give a flag");
                }
            }
        }
        if self.config_dir.is_none() && self.config_namespace.is_some() {
            if is_flag("config_namespace") || self.manifests.is_none() {
                return Err("--config-namespace goes with --config-dir: give both");
            }
            self.config_namespace = None;
        }
        Ok(())
    }

    /// Where the configuration comes from. `None`: neither flag was given.
    pub fn source(&self) -> Option<ConfigSource> {
        match (&self.config_dir, &self.manifests) {
            (_, Some(dir)) => Some(ConfigSource::Manifests(dir.clone())),
            (Some(dir), None) => {
                Some(ConfigSource::Cluster { dir: dir.clone(), namespace: self.config_namespace.clone() })
            }
            (None, None) => None,
        }
    }

    /// The addresses for clients and for administration.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let host = if self.manifests.is_some() { [127, 0, 0, 1] } else { [0, 0, 0, 0] };
        let at = |given: Option<SocketAddr>, port| given.unwrap_or_else(|| SocketAddr::from((host, port)));
        (at(self.listen, 8080), at(self.admin, 9090))
    }
}

/// A duration as manifests write it.
fn duration(text: &str) -> Result<Duration, String> {
    relay_crds::Duration(text.to_owned()).parse().map_err(|_| "write a duration such as 5s, 10m or 1h30m".to_owned())
}
