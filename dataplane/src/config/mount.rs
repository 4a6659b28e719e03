//! The cold-start copy: one projected volume with the index and the shards, as flat files.
//!
//! The kubelet swaps a volume by renaming the link `..data`, so that the files of one generation lie in one folder. That link is followed
//! once, and every file is read relative to where it led: a read never mixes two generations of the volume. The index still says the last
//! word, since the volume's sources come from different moments.

use super::folder::Changes;
use super::{Outcome, Sink, Source, Update};
use notify::RecursiveMode;
use relay_snapshot::shards::{INDEX_NAME, assemble, names};
use relay_snapshot::{AssembleError, Index};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// A file of the volume is not longer; the API server refuses objects over about 1.5 MiB.
pub const FILE_MAX_BYTES: u64 = 2 * 1024 * 1024;
/// How often a read begins anew because the kubelet swapped the volume under it.
const ATTEMPTS: u32 = 3;

/// Why the volume gave no set.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// No index: the volume is empty or not there. Normal until the operator has written its first set.
    #[error("{} holds no configuration yet", dir.display())]
    NothingYet {
        /// The folder.
        dir: PathBuf,
    },
    /// A file can't be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is longer than [`FILE_MAX_BYTES`].
    #[error("{} is longer than {FILE_MAX_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The files do not make a set.
    #[error(transparent)]
    Set(#[from] AssembleError),
}

impl MountError {
    /// How the sink counts it; `None` where there is nothing to count.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::NothingYet { .. } => None,
            Self::Io { .. } => Some(Outcome::Unavailable),
            Self::TooLong { .. } => Some(Outcome::Unreadable),
            Self::Set(error) => Some(error.into()),
        }
    }
}

/// Reads the set in `dir`: of the folder that its link `..data` leads to, or of `dir` itself where there is no such link.
pub fn read_once(dir: &Path) -> Result<Update, MountError> {
    let mut folder = generation(dir);
    for _ in 1..ATTEMPTS {
        match read_set(dir, &folder) {
            Ok(update) => return Ok(update),
            Err(error) => {
                let now = generation(dir);
                if now == folder {
                    return Err(error);
                }
                folder = now;
            }
        }
    }
    read_set(dir, &folder)
}

fn generation(dir: &Path) -> PathBuf {
    dir.join("..data").canonicalize().unwrap_or_else(|_| dir.to_owned())
}

fn read_set(dir: &Path, folder: &Path) -> Result<Update, MountError> {
    let index = match read_file(folder, INDEX_NAME)? {
        Some(text) if !text.trim().is_empty() => Index::parse(&text)?,
        _ => return Err(MountError::NothingYet { dir: dir.to_owned() }),
    };
    let mut texts = BTreeMap::new();
    // Names come from the contract, not from the index: a file name is never made of what was read.
    for name in names() {
        if index.shards.contains_key(&name)
            && let Some(text) = read_file(folder, &name)?
        {
            texts.insert(name, text);
        }
    }
    let snapshot = assemble(&index, |name| texts.get(name).map(String::as_str))?;
    Ok(Update { snapshot, revision: index.revision, sequence: index.sequence })
}

/// `None` when there is no such file: every source of the volume is optional.
fn read_file(folder: &Path, object: &str) -> Result<Option<String>, MountError> {
    let path = folder.join(format!("{object}.json"));
    let mut text = String::new();
    let read = std::fs::File::open(&path).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 > FILE_MAX_BYTES => Err(MountError::TooLong { path }),
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(MountError::Io { path, error }),
    }
}

/// Reads `dir` now and at every change, and hands each new set to `sink`. Ends with `shutdown`.
pub async fn run(dir: PathBuf, sink: Sink, shutdown: CancellationToken) {
    // The watch stands before the first read, so that nothing is lost between the two.
    let Some(mut changes) = shutdown.run_until_cancelled(Changes::of(dir.clone(), RecursiveMode::NonRecursive)).await
    else {
        return;
    };
    let mut offered = None;
    loop {
        let path = dir.clone();
        match tokio::task::spawn_blocking(move || read_once(&path)).await {
            Ok(Ok(update)) if offered == Some(update.sequence) => {}
            Ok(Ok(update)) => {
                offered = Some(update.sequence);
                sink.offer(Source::Mount, update);
            }
            Ok(Err(error)) => {
                debug!("{error}");
                if let Some(outcome) = error.outcome() {
                    sink.reject(Source::Mount, outcome, &error);
                }
            }
            // Only a runtime that is shutting down drops the task.
            Err(_) => return,
        }
        if shutdown.run_until_cancelled(changes.next()).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
