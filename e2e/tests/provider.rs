//! The fake provider is what every other test leans on, so it is tested from outside: by raw bytes on a socket.

#[path = "provider/client.rs"]
mod client;
#[path = "provider/families.rs"]
mod families;
#[path = "provider/formats.rs"]
mod formats;
#[path = "provider/framing.rs"]
mod framing;
#[path = "provider/http2.rs"]
mod http2;
#[path = "provider/observing.rs"]
mod observing;
#[path = "provider/program.rs"]
mod program;
#[path = "provider/shapes.rs"]
mod shapes;
#[path = "provider/tls.rs"]
mod tls;
