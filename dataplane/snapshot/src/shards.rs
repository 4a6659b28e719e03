//! How a snapshot is cut into objects that fit Kubernetes, and put together again.
//!
//! An object lives in the shard that its `namespace/name` hashes to, so that one change rewrites one shard. The index names the SHA-256 of
//! every shard and is written last; a reader takes a set only when every shard matches. The revision is a digest of the content: two equal
//! contents have one revision, whoever wrote them and whenever.

use crate::{FORMAT, KeyDigest, ObjectId, Route, SecretText, Snapshot, Tenant, Unavailable};
use aws_lc_rs::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many shards of each kind there are.
pub const SHARDS: usize = 16;
/// Name of the ConfigMap with the index.
pub const INDEX_NAME: &str = "relay-config";
/// Data key of the index.
pub const INDEX_KEY: &str = "index.json";
/// Data key of a shard, in ConfigMaps and Secrets.
pub const SHARD_KEY: &str = "shard.json";
/// A shard's text stays under this many bytes; Kubernetes refuses objects over 1 MiB.
pub const SHARD_MAX_BYTES: usize = 512 * 1024;

/// Name of the ConfigMap with shard `shard`.
pub fn config_name(shard: usize) -> String {
    format!("{CONFIG_PREFIX}{shard}")
}

/// Name of the Secret with shard `shard`.
pub fn secrets_name(shard: usize) -> String {
    format!("{SECRETS_PREFIX}{shard}")
}

const CONFIG_PREFIX: &str = "relay-config-";
const SECRETS_PREFIX: &str = "relay-secrets-";

/// Names of all shards. A reader asks for these, and for no name that it read.
pub fn names() -> impl Iterator<Item = String> {
    (0..SHARDS).map(config_name).chain((0..SHARDS).map(secrets_name))
}

/// Whether a shard of this name is a Secret; else it is a ConfigMap.
pub fn is_secret(name: &str) -> bool {
    name.starts_with(SECRETS_PREFIX)
}

/// The shard that an object lives in.
pub fn shard_of(id: &ObjectId) -> usize {
    digest(&SHA256, id.to_string().as_bytes()).as_ref().first().map_or(0, |byte| usize::from(*byte) % SHARDS)
}

/// SHA-256 of a text, 64 lower-case hex digits.
pub fn sha256_hex(text: &[u8]) -> String {
    hex::encode(digest(&SHA256, text))
}

/// The index: which shards make a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// The format of the writer.
    pub format: u32,
    /// The oldest format whose readers get this set right.
    pub min_reader: u32,
    /// Grows with every write, over restarts and reinstallations of the writer: a reader never goes back to a lower one.
    pub sequence: u64,
    /// Digest of the content, 12 hex digits.
    pub revision: String,
    /// Object name to SHA-256 of its text.
    pub shards: BTreeMap<String, String>,
}

/// A snapshot cut into texts: object name to text. ConfigMaps and Secrets apart, so that a secret can't slip into a ConfigMap.
#[derive(Clone, PartialEq, Eq)]
pub struct Shards {
    /// Digest of the content, 12 hex digits.
    pub revision: String,
    /// The oldest format whose readers get this set right.
    pub min_reader: u32,
    /// Texts for ConfigMaps.
    pub configs: BTreeMap<String, String>,
    /// Texts for Secrets.
    pub secrets: BTreeMap<String, String>,
}

/// Why shards do not make a set. The reader keeps what it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// The index asks for a newer reader.
    #[error("the set needs a proxy that reads format {needed}; this one reads {FORMAT}: upgrade the proxies first")]
    TooNew {
        /// `minReader` of the index.
        needed: u32,
    },
    /// A shard that the index names is not there (yet).
    #[error("shard {name} is missing")]
    Missing {
        /// Name of the object.
        name: String,
    },
    /// A shard is of another set than the index.
    #[error("shard {name} does not match its hash in the index")]
    Mismatch {
        /// Name of the object.
        name: String,
    },
    /// A text is not what it should be. The parser's message is left out: it could quote a secret.
    #[error("{name} is not readable at line {line}, column {column}")]
    Unreadable {
        /// Name of the object.
        name: String,
        /// Line in the text, from 1.
        line: usize,
        /// Column in the text, from 1.
        column: usize,
    },
}

#[derive(Default, Serialize, Deserialize)]
struct ConfigShard {
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default)]
    tenants: Vec<Tenant>,
}

#[derive(Default, Serialize, Deserialize)]
struct SecretShard {
    /// Route to backend to key.
    #[serde(default)]
    credentials: BTreeMap<ObjectId, BTreeMap<String, SecretText>>,
    /// Tenant to keys.
    #[serde(default)]
    keys: BTreeMap<ObjectId, Vec<KeyDigest>>,
}

/// Cuts a snapshot into shards. Equal snapshots give equal texts.
pub fn split(snapshot: &Snapshot) -> Result<Shards, serde_json::Error> {
    let mut configs: Vec<ConfigShard> = (0..SHARDS).map(|_| ConfigShard::default()).collect();
    let mut secrets: Vec<SecretShard> = (0..SHARDS).map(|_| SecretShard::default()).collect();
    for route in &snapshot.routes {
        let shard = shard_of(&route.id);
        configs[shard].routes.push(route.clone());
        let credentials = credentials_of(route);
        if !credentials.is_empty() {
            secrets[shard].credentials.insert(route.id.clone(), credentials);
        }
    }
    for tenant in &snapshot.tenants {
        let shard = shard_of(&tenant.id);
        configs[shard].tenants.push(tenant.clone());
        if !tenant.keys.is_empty() {
            secrets[shard].keys.insert(tenant.id.clone(), tenant.keys.clone());
        }
    }
    let configs = texts(&configs, config_name)?;
    let secrets = texts(&secrets, secrets_name)?;
    let revision = revision_of(&hashes(&configs, &secrets));
    Ok(Shards { revision, min_reader: min_reader(snapshot), configs, secrets })
}

/// A proxy that would not hold a limit must not serve a set that has it.
fn min_reader(snapshot: &Snapshot) -> u32 {
    let is_new = |tenant: &Tenant| tenant.limits.is_new() || tenant.on_unavailable != Unavailable::Local;
    let limited = snapshot.tenants.iter().any(is_new) || snapshot.routes.iter().any(|route| !route.limits.is_empty());
    if limited { 2 } else { 1 }
}

fn credentials_of(route: &Route) -> BTreeMap<String, SecretText> {
    let secret = |backend: &crate::Backend| backend.credential.as_ref().and_then(|c| c.secret.clone());
    route.backends.iter().filter_map(|backend| Some((backend.name.clone(), secret(backend)?))).collect()
}

fn texts<T: Serialize>(shards: &[T], name: fn(usize) -> String) -> Result<BTreeMap<String, String>, serde_json::Error> {
    shards.iter().enumerate().map(|(number, shard)| Ok((name(number), serde_json::to_string(shard)?))).collect()
}

fn hashes(configs: &BTreeMap<String, String>, secrets: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    configs.iter().chain(secrets).map(|(name, text)| (name.clone(), sha256_hex(text.as_bytes()))).collect()
}

fn revision_of(hashes: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, hash) in hashes {
        text.push_str(name);
        text.push_str(hash);
    }
    let mut revision = sha256_hex(text.as_bytes());
    revision.truncate(12);
    revision
}

impl Shards {
    /// The index of this set, as the `sequence`-th write.
    pub fn index(&self, sequence: u64) -> Index {
        Index {
            format: FORMAT,
            min_reader: self.min_reader,
            sequence,
            revision: self.revision.clone(),
            shards: hashes(&self.configs, &self.secrets),
        }
    }
}

impl Index {
    /// Reads the text of the index.
    pub fn parse(text: &str) -> Result<Self, AssembleError> {
        let index: Self = parse(INDEX_NAME, text)?;
        if index.min_reader > FORMAT { Err(AssembleError::TooNew { needed: index.min_reader }) } else { Ok(index) }
    }
}

fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, AssembleError> {
    serde_json::from_str(text).map_err(|error| AssembleError::Unreadable {
        name: name.to_owned(),
        line: error.line(),
        column: error.column(),
    })
}

/// Puts a set together. `text_of` gives the text of an object by its name; it is asked once for every shard of the index.
pub fn assemble<'a>(index: &Index, text_of: impl Fn(&str) -> Option<&'a str>) -> Result<Snapshot, AssembleError> {
    let mut snapshot = Snapshot::default();
    let mut secrets = SecretShard::default();
    for (name, hash) in &index.shards {
        let text = text_of(name).ok_or_else(|| AssembleError::Missing { name: name.clone() })?;
        if sha256_hex(text.as_bytes()) != *hash {
            return Err(AssembleError::Mismatch { name: name.clone() });
        }
        if is_secret(name) {
            let shard: SecretShard = parse(name, text)?;
            secrets.credentials.extend(shard.credentials);
            secrets.keys.extend(shard.keys);
        } else {
            let shard: ConfigShard = parse(name, text)?;
            snapshot.routes.extend(shard.routes);
            snapshot.tenants.extend(shard.tenants);
        }
    }
    join(&mut snapshot, secrets);
    snapshot.routes.sort_by(|a, b| a.id.cmp(&b.id));
    snapshot.tenants.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(snapshot)
}

fn join(snapshot: &mut Snapshot, mut secrets: SecretShard) {
    for route in &mut snapshot.routes {
        let mut credentials = secrets.credentials.remove(&route.id).unwrap_or_default();
        for backend in &mut route.backends {
            if let Some(credential) = &mut backend.credential {
                credential.secret = credentials.remove(&backend.name);
                // Whoever wrote the set, a request never leaves without the credential that its route names.
                route.ready &= credential.secret.is_some();
            }
        }
    }
    for tenant in &mut snapshot.tenants {
        tenant.keys = secrets.keys.remove(&tenant.id).unwrap_or_default();
    }
}

/// Digest of what one object contributes, secrets included: two snapshots with equal digests treat its requests alike.
/// 16 hex digits.
pub fn digest_of_route(route: &Route) -> String {
    short_digest(&(route, credentials_of(route)))
}

/// As [`digest_of_route`], of a tenant.
pub fn digest_of_tenant(tenant: &Tenant) -> String {
    short_digest(&(tenant, &tenant.keys))
}

fn short_digest(value: &impl Serialize) -> String {
    // These types have string keys and no fallible Serialize; an error would only make the digest match nothing.
    let mut text = sha256_hex(&serde_json::to_vec(value).unwrap_or_default());
    text.truncate(16);
    text
}
