//! The configuration that the proxy serves now, and the word of it that the operator waits for.

use crate::table::Table;
use arc_swap::ArcSwap;
use std::sync::Arc;
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
}

impl Default for Serving {
    fn default() -> Self {
        Self { table: ArcSwap::from_pointee(Table::default()), revision: watch::Sender::default() }
    }
}

impl Serving {
    /// The table for one request. It is held while the request waits for its answer, too long for a guard of the swap.
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Serves `table` from now on, with the health and turns of the backends that it knows already, and then tells so.
    pub fn swap(&self, table: Table, sequence: u64) {
        let revision = Revision { revision: table.revision.to_string(), sequence };
        table.carry_over(&self.table());
        self.table.store(Arc::new(table));
        self.revision.send_replace(revision);
    }

    /// Follows the revision.
    pub fn watch(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }
}
