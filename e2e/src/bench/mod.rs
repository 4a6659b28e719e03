//! What the benchmark runs beside the relay: a mock upstream, a bare hyper relay, and a load generator that checks every byte.
//!
//! Upstream and load speak HTTP/1.1 by hand over plain sockets, so that one core is enough to keep a proxy busy on the other.

pub mod bare;
pub mod content;
mod http1;
pub mod load;
mod reader;
#[cfg(test)]
mod tests;
pub mod upstream;
