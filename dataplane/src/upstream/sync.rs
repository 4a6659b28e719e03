//! What the gate is made of. The test of all its interleavings puts loom's in their place.

pub(super) use futures::task::AtomicWaker;
pub(super) use std::sync::atomic::{AtomicU8, Ordering};
