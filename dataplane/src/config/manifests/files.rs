//! The files of a folder, in an order that does not depend on the file system.

use super::node::Mark;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder with more manifests is refused.
pub const FILES_MAX: usize = 10_000;
/// A longer file is refused, in bytes.
pub const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// All files together are not longer, in bytes; the rest is refused.
pub const TOTAL_MAX_BYTES: usize = 256 * 1024 * 1024;
/// Folders are followed this deep.
const DEPTH_MAX: usize = 32;

/// A file that was read.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A file or folder that was not.
pub(super) struct Unread {
    pub(super) path: PathBuf,
    pub(super) mark: Mark,
    pub(super) message: String,
}

impl Source {
    /// A line by its number from 1.
    pub(super) fn line(&self, number: usize) -> Option<&str> {
        self.text.lines().nth(number.checked_sub(1)?)
    }

    /// True when line `number` may be of a Secret, as far as that can be told without understanding the file.
    pub(super) fn may_be_secret(&self, number: usize) -> bool {
        self.document_around(number).any(|line| {
            let start = line.trim_start();
            line.contains("Secret")
                || ["data:", "stringData:"].iter().any(|key| start.starts_with(key))
                || ["\"data\"", "\"stringData\""].iter().any(|key| line.contains(key))
        })
    }

    /// The lines around `number`, from one separator of documents to the next.
    fn document_around(&self, number: usize) -> impl Iterator<Item = &str> {
        // Not what begins like one: the first line of a PEM key does.
        let separator =
            |line: &&str| line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        let lines: Vec<&str> = self.text.lines().collect();
        let number = number.min(lines.len());
        let start = lines[..number].iter().rposition(&separator).unwrap_or(0);
        let end = lines[number..].iter().position(separator).map_or(lines.len(), |at| number + at);
        lines.into_iter().take(end).skip(start)
    }
}

/// Reads all manifests under `dir`: `*.yaml`, `*.yml` and `*.json`, hidden files and folders left out, links followed.
pub(super) fn read_all(dir: &Path) -> (Vec<Arc<Source>>, Vec<Unread>) {
    let mut walk = Walk::default();
    walk.folder(dir, 0);
    walk.paths.sort();
    let mut sources = Vec::new();
    let mut total = 0;
    for path in walk.paths {
        match read(&path) {
            Ok(text) if total + text.len() > TOTAL_MAX_BYTES => {
                let message = format!("all manifests together are longer than {} MiB", TOTAL_MAX_BYTES >> 20);
                walk.unread.push(Unread { path, mark: Mark::default(), message });
                break;
            }
            Ok(text) => {
                total += text.len();
                sources.push(Arc::new(Source { path, text }));
            }
            Err((mark, message)) => walk.unread.push(Unread { path, mark, message }),
        }
    }
    if sources.is_empty() && walk.unread.is_empty() {
        let message = "the folder holds no *.yaml, *.yml or *.json file: put the manifests there".to_owned();
        walk.unread.push(Unread { path: dir.to_owned(), mark: Mark::default(), message });
    }
    (sources, walk.unread)
}

#[derive(Default)]
struct Walk {
    paths: Vec<PathBuf>,
    unread: Vec<Unread>,
    /// Folders that were entered, so that links can't lead in a circle or to the same file twice.
    entered: BTreeSet<PathBuf>,
    full: bool,
}

impl Walk {
    fn folder(&mut self, dir: &Path, depth: usize) {
        let entries = dir.canonicalize().and_then(|real| {
            if depth > DEPTH_MAX || !self.entered.insert(real) {
                return Ok(Vec::new());
            }
            std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()
        });
        let mut entries = entries.unwrap_or_else(|error| {
            self.refuse(dir, format!("cannot read the folder: {error}"));
            Vec::new()
        });
        entries.sort();
        for path in entries {
            let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            if hidden || self.full {
                continue;
            }
            if path.is_dir() {
                self.folder(&path, depth + 1);
            } else if path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known)) {
                self.file(path, dir);
            }
        }
    }

    fn file(&mut self, path: PathBuf, dir: &Path) {
        if self.paths.len() < FILES_MAX {
            self.paths.push(path);
        } else {
            self.full = true;
            self.refuse(
                dir,
                format!("more than {FILES_MAX} manifests: put several objects into one file, with --- between them"),
            );
        }
    }

    fn refuse(&mut self, path: &Path, message: String) {
        self.unread.push(Unread { path: path.to_owned(), mark: Mark::default(), message });
    }
}

fn read(path: &Path) -> Result<String, (Mark, String)> {
    let mut bytes = Vec::new();
    // Opening a pipe would wait for a writer.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err((Mark::default(), "this is no file: remove it or rename it".to_owned()));
    }
    let read = File::open(path).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err((Mark::default(), format!("cannot read the file: {error}"))),
        Ok(length) if length as u64 > FILE_MAX_BYTES => {
            Err((Mark::default(), format!("the file is longer than {} MiB: split it", FILE_MAX_BYTES >> 20)))
        }
        Ok(_) => String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let valid = String::from_utf8_lossy(valid);
            let last = valid.rsplit('\n').next().unwrap_or_default();
            let mark = Mark { line: valid.matches('\n').count() + 1, column: last.chars().count() + 1 };
            (mark, "the file is not UTF-8 from here on: save it as UTF-8".to_owned())
        }),
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
