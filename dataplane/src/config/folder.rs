//! When something changes in a folder: events of the kernel, and a slow clock where they do not come (network file systems, no watches left).

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

/// A folder is looked at this often even when no event came.
pub(super) const POLL: Duration = Duration::from_secs(30);
/// One change makes several events; they are over when none came for this long.
pub(super) const QUIET: Duration = Duration::from_millis(50);
/// A folder that never rests is looked at this long after its first event.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon the watch is set up again after it broke.
const REPAIR: Duration = Duration::from_secs(1);

/// The changes of one folder.
pub(crate) struct Changes {
    dir: PathBuf,
    mode: RecursiveMode,
    signal: Arc<Signal>,
    watch: Option<Watch>,
    complained: bool,
}

#[derive(Default)]
struct Signal {
    changed: Notify,
    /// The watched folder itself went away or the kernel lost events: watch anew.
    broken: AtomicBool,
}

struct Watch {
    _watcher: RecommendedWatcher,
    /// What the path meant when the watch was set up; a watch stays with the folder, not with its name.
    target: PathBuf,
}

impl Changes {
    /// Watches `dir`, which need not exist yet. Changes after this call are seen by [`Self::next`].
    pub(crate) async fn of(dir: PathBuf, mode: RecursiveMode) -> Self {
        let mut changes = Self { dir, mode, signal: Arc::default(), watch: None, complained: false };
        changes.repair().await;
        changes
    }

    /// Waits until the folder changed and came to rest, or until [`POLL`] is over. Cancel-safe: a change that was seen by a cancelled call
    /// is seen by the next one at the latest after [`POLL`].
    pub(crate) async fn next(&mut self) {
        let poll = Instant::now() + POLL;
        loop {
            let until = if self.watch.is_some() { poll } else { poll.min(Instant::now() + REPAIR) };
            tokio::select! {
                () = self.signal.changed.notified() => return self.settle().await,
                () = sleep_until(until) => {
                    let had_watch = self.watch.is_some();
                    self.repair().await;
                    // A watch that could be set up only now may have missed what came before.
                    if until == poll || (!had_watch && self.watch.is_some()) {
                        return;
                    }
                }
            }
        }
    }

    async fn settle(&mut self) {
        let patience = Instant::now() + PATIENCE;
        while Instant::now() < patience && timeout(QUIET, self.signal.changed.notified()).await.is_ok() {}
        self.repair().await;
    }

    /// Sets the watch up where there is none or where it watches a folder that the path does not name any more.
    async fn repair(&mut self) {
        let target = self.dir.canonicalize().ok();
        let broken = self.signal.broken.swap(false, Ordering::AcqRel);
        if !broken && target.is_some() && self.watch.as_ref().map(|watch| &watch.target) == target.as_ref() {
            return;
        }
        self.watch = None;
        let Some(target) = target else { return };
        let (signal, path, mode) = (Arc::clone(&self.signal), target.clone(), self.mode);
        // Walking a deep tree takes its time, which is not the serving path's.
        match tokio::task::spawn_blocking(move || watch(&path, mode, signal)).await {
            Ok(Ok(watcher)) => {
                debug!(dir = %self.dir.display(), "watching");
                (self.watch, self.complained) = (Some(Watch { _watcher: watcher, target }), false);
            }
            Ok(Err(error)) => {
                if !std::mem::replace(&mut self.complained, true) {
                    warn!(dir = %self.dir.display(), %error, "cannot watch the folder; it is read every {} s", POLL.as_secs());
                }
            }
            // Only a runtime that is shutting down drops the task.
            Err(_) => {}
        }
    }
}

fn watch(target: &Path, mode: RecursiveMode, signal: Arc<Signal>) -> notify::Result<RecommendedWatcher> {
    let root = target.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        match event {
            Ok(event) if is_reading(event.kind) => return,
            Ok(event) => {
                let gone =
                    matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(notify::event::ModifyKind::Name(_)));
                if event.need_rescan() || (gone && event.paths.contains(&root)) {
                    signal.broken.store(true, Ordering::Release);
                }
            }
            Err(_) => signal.broken.store(true, Ordering::Release),
        }
        signal.changed.notify_one();
    })?;
    watcher.watch(target, mode)?;
    Ok(watcher)
}

/// Reading the folder makes events too; they must not lead to reading it again.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
