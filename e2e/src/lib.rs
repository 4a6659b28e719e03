//! What the scenario tests, the benchmarks and `make run` share: the fake provider, and the parts of the benchmark.

pub mod bench;
pub mod provider;
