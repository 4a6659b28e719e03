//! The proxy on the wire: real sockets on both sides, fake providers behind it, and a client that shows the bytes.

mod bodies;
mod config;
mod cuts;
mod drain;
mod endings;
mod h2;
mod headers;
mod hedge;
mod house;
mod keepalive;
mod keys;
mod leaving;
mod limits;
mod raw;
mod reading_on;
mod realtime;
mod reload;
mod retries;
mod rewrite;
mod routing;
mod stalls;
mod stub;
mod timeouts;
mod unchanged;
mod upstreams;
