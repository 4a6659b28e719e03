//! From what the user wrote to what is connected to.
//!
//! | URL | what it names |
//! |---|---|
//! | `redis://[user:password@]host[:port][/db]` | one server |
//! | `redis+unix:///path/of/socket` | one server, by its socket |
//! | `redis+sentinel://[user:password@]host[:port][,host[:port]...]/MASTER[/db]` | the master of that name, as its Sentinels tell |
//! | `redis+cluster://[user:password@]host[:port][,host[:port]...]` | a cluster, by any of its nodes |
//!
//! `rediss` in place of `redis` is TLS; `valkey` and `valkeys` are other names for the same.

#[cfg(test)]
mod tests;

use crate::limits::{LimiterError, RedisOptions};
use ::redis::cluster::ClusterClient;
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates};
use base64::Engine;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::time::Duration;

/// Port of a Redis that names none.
const REDIS_PORT: u16 = 6379;
/// Port of a Sentinel that names none.
const SENTINEL_PORT: u16 = 26_379;
/// Hosts that a URL may name.
const MAX_HOSTS: usize = 64;
/// How often the cluster's client asks again where a key is, within one command: once where it moved to, once where it is moving to.
const REDIRECTS: u32 = 2;

/// What is connected to.
pub(super) enum Target {
    One(Client),
    Sentinel(Sentinel),
    Cluster(Box<ClusterClient>),
}

/// A master by its name.
pub(super) struct Sentinel {
    /// The Sentinels, with the credentials of the master and without any.
    pub(super) sentinels: Vec<ConnectionInfo>,
    pub(super) master: String,
    /// Its database, user and password; the address in it is replaced by the one that a Sentinel tells.
    pub(super) server: ConnectionInfo,
    pub(super) certificates: Option<TlsCertificates>,
}

/// The parts of a URL, not decoded yet.
struct Parts<'a> {
    tls: bool,
    kind: Kind,
    user_info: Option<&'a str>,
    hosts: Vec<&'a str>,
    path: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    One,
    Sentinel,
    Cluster,
}

impl Target {
    /// Reads the URL and what stands beside it. Opens files, no connection. Errors of the parsers are dropped: they may quote the password.
    pub(super) fn new(options: &RedisOptions) -> Result<Self, LimiterError> {
        let url = options.url.expose();
        if url.contains(['#', ' ']) {
            // `#insecure` would switch the check of certificates off.
            return Err(LimiterError::Url);
        }
        let Some(parts) = Parts::of(url) else {
            // A socket, whose URL has no host.
            let info = url.into_connection_info().map_err(|_| LimiterError::Url)?;
            return client(complete(info, options), None).map(Self::One);
        };
        let certificates = parts.tls.then(|| certificates(options.ca.as_deref())).transpose()?;
        match parts.kind {
            Kind::One => {
                let info = url.into_connection_info().map_err(|_| LimiterError::Url)?;
                client(complete(info, options), certificates).map(Self::One)
            }
            Kind::Sentinel => Sentinel::new(&parts, options, certificates).map(Self::Sentinel),
            Kind::Cluster => cluster(&parts, options, certificates).map(|client| Self::Cluster(Box::new(client))),
        }
    }

    /// For the log: hosts, ports and names; never user and password.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::One(client) => client.get_connection_info().addr().to_string(),
            Self::Sentinel(sentinel) => format!("master {} of its Sentinels", sentinel.master),
            Self::Cluster(_) => "the cluster".to_owned(),
        }
    }
}

impl Sentinel {
    fn new(
        parts: &Parts<'_>,
        options: &RedisOptions,
        certificates: Option<TlsCertificates>,
    ) -> Result<Self, LimiterError> {
        let (master, db) = parts.path.split_once('/').unwrap_or((parts.path, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if master.is_empty() || !master.chars().all(plain) {
            return Err(LimiterError::Url);
        }
        let (mut sentinels, mut server) = (Vec::new(), None);
        for host in &parts.hosts {
            let info = complete(parts.info(host, SENTINEL_PORT, db)?, options);
            // A Sentinel has no databases.
            let settings = info.redis_settings().clone().set_db(0);
            sentinels.push(info.clone().set_redis_settings(settings));
            server.get_or_insert(info);
        }
        let server = server.ok_or(LimiterError::Url)?;
        Ok(Self { sentinels, master: master.to_owned(), server, certificates })
    }

    /// What connects to one of the Sentinels, with the master's credentials or without any.
    pub(super) fn sentinel(&self, info: &ConnectionInfo, with_credentials: bool) -> Result<Client, LimiterError> {
        let info = if with_credentials {
            info.clone()
        } else {
            info.clone().set_redis_settings(RedisConnectionInfo::default())
        };
        client(info, self.certificates.clone())
    }

    /// What connects to a server that a Sentinel named.
    pub(super) fn server(&self, host: String, port: u16) -> Result<Client, LimiterError> {
        let addr = match self.server.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        client(self.server.clone().set_addr(addr), self.certificates.clone())
    }
}

impl<'a> Parts<'a> {
    /// `None`: not of the form `scheme://[user:password@]host[,host...][/path]`.
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (base, kind) = match scheme.split_once('+') {
            None => (scheme, Kind::One),
            Some((base, "sentinel")) => (base, Kind::Sentinel),
            Some((base, "cluster")) => (base, Kind::Cluster),
            Some(_) => return None,
        };
        let tls = match base {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return None,
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user_info, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(user_info), hosts),
            None => (None, authority),
        };
        Some(Self { tls, kind, user_info, hosts: hosts.split(',').take(MAX_HOSTS + 1).collect(), path })
    }

    /// One of the hosts, as the URL of a single server would name it.
    fn info(&self, host: &str, default_port: u16, db: &str) -> Result<ConnectionInfo, LimiterError> {
        if host.is_empty() || self.hosts.len() > MAX_HOSTS {
            return Err(LimiterError::Url);
        }
        let scheme = if self.tls { "rediss" } else { "redis" };
        let user_info = self.user_info.map(|user_info| format!("{user_info}@")).unwrap_or_default();
        // Behind the bracket of an IPv6 address, if it is one.
        let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let port = if has_port { String::new() } else { format!(":{default_port}") };
        let url = format!("{scheme}://{user_info}{host}{port}/{db}");
        url.into_connection_info().map_err(|_| LimiterError::Url)
    }
}

/// Flags win over the URL.
fn complete(info: ConnectionInfo, options: &RedisOptions) -> ConnectionInfo {
    let mut settings = info.redis_settings().clone();
    if let Some(username) = &options.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &options.password {
        settings = settings.set_password(password.expose());
    }
    info.set_redis_settings(settings).set_tcp_settings(tcp())
}

/// Nagle's algorithm would hold a decision back until the one before it is acknowledged.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn client(info: ConnectionInfo, certificates: Option<TlsCertificates>) -> Result<Client, LimiterError> {
    match certificates {
        Some(certificates) => Client::build_with_tls(info, certificates).map_err(|_| LimiterError::Ca),
        None => Client::open(info).map_err(|_| LimiterError::Url),
    }
}

fn cluster(
    parts: &Parts<'_>,
    options: &RedisOptions,
    certificates: Option<TlsCertificates>,
) -> Result<ClusterClient, LimiterError> {
    if !parts.path.is_empty() && parts.path != "0" {
        // Redis Cluster has database 0 alone.
        return Err(LimiterError::Url);
    }
    let nodes: Result<Vec<_>, _> =
        parts.hosts.iter().map(|host| Ok(complete(parts.info(host, REDIS_PORT, "")?, options))).collect();
    let mut builder = ClusterClient::builder(nodes?)
        .tcp_settings(tcp())
        .retries(REDIRECTS)
        .min_retry_wait(1)
        .max_retry_wait(5)
        // Decisions and attempts to connect have their own bounds; this one is for what nobody waits for any more.
        .response_timeout(Duration::from_secs(1))
        .connection_timeout(Duration::from_secs(1));
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    builder.build().map_err(|_| LimiterError::Url)
}

/// The certificates that are believed: those of `ca`, else the system's. They are read once, for reading the system's takes longer than a decision may.
fn certificates(ca: Option<&Path>) -> Result<TlsCertificates, LimiterError> {
    let pem = match ca {
        Some(path) => {
            let pem = std::fs::read(path).map_err(|_| LimiterError::Ca)?;
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            let mut roots = RootCertStore::empty();
            let (taken, _) = roots.add_parsable_certificates(found.map_err(|_| LimiterError::Ca)?);
            if taken == 0 {
                return Err(LimiterError::Ca);
            }
            pem
        }
        None => system_roots(),
    };
    Ok(TlsCertificates { client_tls: None, root_cert: Some(pem) })
}

/// In the form that the client takes; without those that could not be used, for one of them would make it refuse all.
fn system_roots() -> Vec<u8> {
    let mut pem = Vec::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        if RootCertStore::empty().add(certificate.clone()).is_ok() {
            let text = base64::engine::general_purpose::STANDARD.encode(&certificate);
            pem.extend_from_slice(
                format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").as_bytes(),
            );
        }
    }
    pem
}
