//! The proxy on the wire: real sockets on both sides, fake providers behind it, and a client that shows the bytes.

mod config;
mod endings;
mod house;
mod raw;
mod stub;
mod unchanged;
