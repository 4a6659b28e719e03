//! The proxy on the wire: real sockets on both sides, fake providers behind it, and a client that shows the bytes.

mod bodies;
mod config;
mod cuts;
mod drain;
mod endings;
mod h2;
mod headers;
mod house;
mod keepalive;
mod keys;
mod leaving;
mod limits;
mod raw;
mod reading_on;
mod reload;
mod routing;
mod secure;
mod stalls;
mod stub;
mod timeouts;
mod unchanged;
mod upstream_h2;
mod upstream_tls;
mod upstreams;
