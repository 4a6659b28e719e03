//! The configuration that the proxy serves now, and the word of it that the operator waits for.

#[cfg(test)]
mod tests;

use crate::drain::Cut;
use crate::table::Table;
use arc_swap::ArcSwap;
use relay_snapshot::ObjectId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Which configuration is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// Digest of the content, 12 hex digits; empty before the first.
    pub revision: String,
    /// The write that brought it.
    pub sequence: u64,
}

/// The table in service. Swapped whole; a request keeps what it took from the table it began with.
pub struct Serving {
    table: ArcSwap<Table>,
    revision: watch::Sender<Revision>,
    /// What ends the streams of each tenant that is served, or was and still has some.
    cuts: Mutex<HashMap<ObjectId, Cut>>,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            table: ArcSwap::from_pointee(Table::default()),
            revision: watch::Sender::default(),
            cuts: Mutex::default(),
        }
    }
}

impl Serving {
    /// The table for one request. It is held while the request waits for its answer, too long for a guard of the swap.
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Serves `table` from now on, ends the streams of tenants whose suspension asks for it, and then tells so.
    pub fn swap(&self, table: Table, sequence: u64) {
        let revision = Revision { revision: table.revision.to_string(), sequence };
        let ended = self.carry_cuts(&table);
        table.carry_over(&self.table());
        self.table.store(Arc::new(table));
        // Behind the swap: a request that still found its tenant in the old table holds the same switch.
        ended.iter().for_each(Cut::cancel);
        self.revision.send_replace(revision);
    }

    /// Gives each tenant of `table` the switch that its running streams watch, and returns those to throw.
    fn carry_cuts(&self, table: &Table) -> Vec<Cut> {
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ended = Vec::new();
        for tenant in &table.tenants {
            let cut = cuts.entry(tenant.id.clone()).or_default();
            if tenant.cuts {
                ended.push(cut.clone());
            } else if cut.is_cancelled() {
                // The suspension is over: what begins now is not ended by it.
                *cut = Cut::default();
            }
            tenant.carry_over(cut);
        }
        // A tenant that is deleted and comes back finds its streams; one without any leaves nothing behind.
        cuts.retain(|_, cut| cut.is_shared());
        ended
    }

    /// Follows the revision.
    pub fn watch(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }
}
