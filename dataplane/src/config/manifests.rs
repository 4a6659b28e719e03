//! x
mod node;
mod diagnostic;
mod files;
mod decode;
