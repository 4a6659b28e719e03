//! What the scenario tests, the benchmarks and `make run` share: so far the fake provider.

pub mod provider;
