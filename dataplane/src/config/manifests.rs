//! x
mod node;
