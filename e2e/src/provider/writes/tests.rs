use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;

use super::dress;
use crate::provider::behaviour::Writes;
use crate::provider::plan::Step;

fn send(text: &'static str) -> Step {
    Step::Send(Bytes::from_static(text.as_bytes()))
}

#[test]
fn pieces_have_one_size_and_leave_before_a_pause() {
    let pause = Step::Wait(Duration::from_secs(1));
    let steps = [send("abcd"), send("e"), pause.clone(), send("fgh"), Step::Cut];
    let writes = Writes { split: Some(3), ..Writes::default() };
    let got: Vec<_> = dress(steps.into_iter(), writes).collect();
    let flush = Step::Flush;
    let want = [send("abc"), flush.clone(), send("de"), flush.clone(), pause, send("fgh"), flush, Step::Cut];
    assert_eq!(got, want);
}

#[test]
fn the_gzip_stream_is_what_gunzip_reads() {
    let big = Bytes::from(vec![b'x'; 150_000]);
    let steps = [send("one "), Step::Send(big.clone()), send(" two")];
    let writes = Writes { gzip: true, split: Some(1000), ..Writes::default() };
    let packed: Vec<u8> = dress(steps.into_iter(), writes)
        .filter_map(|step| if let Step::Send(bytes) = step { Some(bytes) } else { None })
        .flatten()
        .collect();
    let mut gunzip =
        Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip");
    let mut stdin = gunzip.stdin.take().expect("stdin");
    let feeder = std::thread::spawn(move || stdin.write_all(&packed));
    let out = gunzip.wait_with_output().expect("gzip runs");
    feeder.join().expect("the feeder").expect("all written");
    assert!(out.status.success(), "gzip checks the CRC and the length");
    assert_eq!(out.stdout, [b"one ".as_ref(), &big, b" two"].concat());
}
