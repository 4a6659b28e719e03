//! The proxy on the wire: real sockets on both sides, fake providers behind it, and a client that shows the bytes.

mod bodies;
mod bounds;
mod config;
mod drain;
mod endings;
mod frames;
mod h2;
mod headers;
mod house;
mod keys;
mod leaving;
mod limits;
mod raw;
mod reload;
mod routing;
mod smuggling;
mod stub;
mod timeouts;
mod unchanged;
mod upstreams;
