//! How much the proxy takes on at once, from what the machine, or its container, has.
//!
//! Running streams are worth more than new ones: what is over the bounds is refused at once, before it can take memory or descriptors from them.

#[cfg(test)]
mod tests;

use crate::upstream::AHEAD;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;

/// Descriptors that are never given to clients or upstreams: the admin port, logs, configuration, Redis, the API server.
const DESCRIPTORS_KEPT: u64 = 128;
/// Memory that the program has without a request, and that reading of models may take in the usual case.
const MEMORY_KEPT: u64 = 64 << 20;
/// Read and write buffers of a request on both sides, at worst. An idle stream takes about a quarter.
const BUFFERS: u64 = 64 << 10;
/// What a request takes at worst: that, and what HTTP/2 brings of an answer whose client does not read.
const MEMORY_A_REQUEST: u64 = BUFFERS + AHEAD as u64;
/// What an idle connection takes, with TLS.
const MEMORY_A_CONNECTION: u64 = 32 << 10;
/// Below this nothing useful can be served; the bounds are never lower.
const FEWEST: u64 = 64;
/// Where there is no limit at all.
const MOST: u64 = 1_000_000;

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Connections of clients that are open at once. One more is accepted and closed.
    pub connections: usize,
    /// Requests that are under way at once. One more is answered 503 `overloaded`.
    pub requests: usize,
}

impl Default for Capacity {
    /// Bounds that only a test or a program without limits should have.
    fn default() -> Self {
        Self::of(u64::MAX, u64::MAX)
    }
}

impl Capacity {
    /// Raises the soft limit of descriptors to the hard one, and measures.
    pub fn of_this_process() -> Self {
        Self::of(raise_descriptors(), memory_limit(Path::new("/")).unwrap_or(u64::MAX))
    }

    /// From a number of descriptors and bytes of memory. A request needs two descriptors, its client's and its upstream's, where they are not shared.
    /// A fifth of the memory is left to fluctuation; a quarter of the rest is for connections, which makes twice as many of them as of requests.
    pub fn of(descriptors: u64, memory: u64) -> Self {
        let by_descriptors = descriptors.saturating_sub(DESCRIPTORS_KEPT) / 2;
        let quarter = (memory / 5 * 4).saturating_sub(MEMORY_KEPT) / 4;
        let bound = |memory: u64, each: u64| {
            let bound = by_descriptors.min(memory / each).clamp(FEWEST, MOST);
            usize::try_from(bound).unwrap_or(usize::MAX)
        };
        Self { connections: bound(quarter, MEMORY_A_CONNECTION), requests: bound(3 * quarter, MEMORY_A_REQUEST) }
    }
}

/// How many files this process may have open.
fn raise_descriptors() -> u64 {
    let now = getrlimit(Resource::Nofile);
    // Refused only where the system has a lower limit of its own; then the soft limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Bytes that this process may have: the lowest of the limits of its control groups (version 2, then 1) and the machine's memory. `root` is `/`.
fn memory_limit(root: &Path) -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let of_groups = groups.lines().flat_map(|line| files_of(line).into_iter().filter_map(|file| limit(&read(&file)?)));
    // Inside a container the group's own path is often not visible, and its limit stands at the top.
    let at_top = ["sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let of_top = at_top.into_iter().filter_map(|file| limit(&read(file)?));
    of_groups.chain(of_top).chain(read("proc/meminfo").and_then(|text| physical(&text))).min()
}

/// Where the limits of a group and of those above it stand, by its line in `/proc/self/cgroup`.
fn files_of(line: &str) -> Vec<String> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (top, file) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    let path = path.trim_matches('/');
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    ends.filter(|end| *end > 0).map(|end| format!("{top}/{}/{file}", &path[..end])).collect()
}

/// `max` is none. Version 1 writes a number that no machine has.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn physical(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
