//! However the network cuts the bytes, the same of them pass.

use super::super::framing::{Fault, Framing};
use super::Violation;
use proptest::prelude::*;

/// Pieces of requests, good and bad; put one behind the other they make all kinds of connections.
const PIECES: [&str; 34] = [
    "GET / HTTP/1.1\r\nhost: relay\r\n\r\n",
    "GET http://relay/ HTTP/1.1\r\nhost: relay\r\n\r\n",
    "GET http://other/ HTTP/1.1\r\nhost: relay\r\n\r\n",
    "POST /v1 HTTP/1.1\r\nhost: relay\r\n",
    "POST /v1 HTTP/1.0\r\n",
    "content-length: 5\r\n",
    "content-length: 0\r\n",
    "transfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\n\r\n",
    "content-length: 5\r\n\r\nabcde",
    "expect: 100-continue\r\n",
    "upgrade: h2c\r\n",
    "x: y\r\n",
    "x : y\r\n",
    " folded\r\n",
    "x: \0\r\n",
    "5\r\nabcde\r\n",
    "5;ext=1\r\nabcde\r\n",
    "5 \r\nabcde\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "x-sum: 1\r\n\r\n",
    "ffffffffffffffff\r\n",
    "\r\n",
    "\n",
    "\r",
    "host: relay\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET / HTTP/1.1\n",
    "\0",
    "garbage",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "HTTP/1.1",
    "OPTIONS * HTTP/1.1\r\nhost: relay\r\n\r\n",
];

/// What passed, and the first fault, when the bytes come in pieces that end at `cuts`.
fn passed(bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, Option<Violation>) {
    let mut framing = Framing::default();
    let (mut passed, mut held, mut fault) = (Vec::new(), Vec::new(), None);
    let mut begin = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        held.extend_from_slice(&bytes[begin..end]);
        begin = end;
        let verdict = framing.pass(&held);
        passed.extend(held.drain(..verdict.bytes));
        fault = fault.or(verdict.fault.map(|fault| match fault {
            Fault::Head(refused) => refused.violation,
            Fault::Body(violation) => violation,
        }));
    }
    (passed, fault)
}

fn connection() -> impl Strategy<Value = Vec<u8>> {
    let long =
        prop_oneof![Just(0_usize), Just(0), Just(0), 8180..8200_usize, 16_000..17_000_usize, 32_700..32_800_usize];
    let piece = (prop::sample::select(&PIECES[..]), long);
    prop::collection::vec(piece, 1..8).prop_map(|pieces| {
        let mut bytes = Vec::new();
        for (piece, long) in pieces {
            bytes.extend_from_slice(piece.as_bytes());
            if long > 0 {
                bytes.extend(std::iter::repeat_n(b'l', long));
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn verdicts_do_not_depend_on_the_cuts(bytes in connection(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(passed(&bytes, &cuts), passed(&bytes, &[]));
    }

    #[test]
    fn nor_do_they_when_every_byte_comes_alone(bytes in connection()) {
        let cuts: Vec<usize> = (1..bytes.len()).collect();
        prop_assert_eq!(passed(&bytes, &cuts), passed(&bytes, &[]));
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(bytes.len() + 1);
        prop_assert_eq!(passed(&bytes, &[cut]), passed(&bytes, &[]));
    }
}
