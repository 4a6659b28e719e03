mod bounds;
mod framing;
mod guard;
mod splits;
mod targets;

use super::framing::{Fault, Framing};
use super::violation::Violation;

/// What passes of these bytes, and what is wrong behind them.
fn judged(bytes: &[u8]) -> (usize, Option<Violation>) {
    let passed = Framing::default().pass(bytes);
    let violation = passed.fault.map(|fault| match fault {
        Fault::Head(refused) => refused.violation,
        Fault::Body(violation) => violation,
    });
    (passed.bytes, violation)
}

/// A head with these lines behind a fine request line and host.
fn with(lines: &str) -> String {
    format!("POST /v1 HTTP/1.1\r\nhost: relay\r\n{lines}\r\n")
}
