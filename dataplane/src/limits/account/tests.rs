//! The same suite over memory, over Redis, and against a slow, obvious model.

mod model;
mod twins;
mod world;
