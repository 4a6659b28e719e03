use super::Socket;
use bytes::Bytes;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::Instant;

const STALL: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn a_write_that_makes_no_progress_fails_in_time() {
    let (near, _far) = duplex(4);
    let mut socket = Socket::new(near, STALL, ());
    let begun = Instant::now();
    let turn = socket.turn();
    assert!(!turn.has_stalled());
    let error = socket.write_all(b"more than fits").await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed().as_secs()), (ErrorKind::TimedOut, 60));
    assert!(turn.has_stalled());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_no_stall() {
    let (near, mut far) = duplex(1);
    let mut socket = Socket::new(near, STALL, ());
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(59)).await;
            read.push(far.read_u8().await.unwrap());
        }
        read
    });
    socket.write_all(b"0123456789").await.unwrap();
    assert_eq!(reading.await.unwrap(), b"0123456789");
}

#[tokio::test]
async fn bytes_that_were_put_back_come_first() {
    let (near, mut far) = duplex(64);
    let mut socket = Socket::new(near, STALL, ());
    socket.put_back(Bytes::from_static(b"GET /"));
    far.write_all(b" HTTP/1.1").await.unwrap();
    drop(far);
    let mut read = String::new();
    socket.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "GET / HTTP/1.1");
}
