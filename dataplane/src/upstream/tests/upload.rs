use super::received::received;
use crate::upstream::{KEPT_MAX, RequestBody, RequestBodyError, Room, Splice, Upload};
use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt, DuplexStream};

fn upload(head: &'static str, max: u64, keeps: bool) -> Upload {
    Upload::new(Bytes::from_static(head.as_bytes()), None, max, Room::default(), false, keeps)
}

fn splice(range: std::ops::Range<usize>, with: &'static str) -> Splice {
    Splice { range, with: Bytes::from_static(with.as_bytes()) }
}

#[tokio::test]
async fn what_was_read_goes_out_and_its_length_is_known() {
    let upload = upload("abcdef", 6, false);
    let body = upload.body(None);
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(6), false));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abcdef");
    assert_eq!(upload.fault(), None);
}

#[tokio::test]
async fn a_byte_too_many_fails_it_and_leaves_word() {
    let upload = upload("abcdef", 5, true);
    assert_eq!(upload.body(None).frame().await.unwrap().unwrap_err(), RequestBodyError::TooLarge);
    assert_eq!(upload.fault(), Some(RequestBodyError::TooLarge));
    assert!(!upload.can_be_sent());
}

#[tokio::test]
async fn no_body_is_known_to_be_none() {
    let upload = upload("", 0, true);
    let mut body = upload.body(None);
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
    assert!(body.frame().await.is_none());
    assert!(upload.can_be_sent() && upload.is_whole());
}

#[tokio::test]
async fn what_is_kept_goes_out_as_often_as_it_is_asked_for_also_at_once() {
    let upload = upload("abcdef", 6, true);
    let (first, second) = (upload.body(None), upload.body(None));
    assert_eq!(first.collect().await.unwrap().to_bytes(), "abcdef");
    assert!(upload.can_be_sent() && upload.is_whole());
    assert_eq!(second.collect().await.unwrap().to_bytes(), "abcdef");
    assert_eq!(upload.body(None).collect().await.unwrap().to_bytes(), "abcdef");
}

#[tokio::test]
async fn what_is_not_kept_goes_out_once() {
    let once = upload("abc", 10, false);
    drop(once.body(None));
    assert!(once.can_be_sent(), "nothing went out yet");
    once.body(None).collect().await.unwrap();
    assert!(!once.can_be_sent() && !once.is_whole());

    let long = Bytes::from(vec![b'x'; KEPT_MAX + 1]);
    let long = Upload::new(long, None, 10 << 20, Room::default(), false, true);
    assert_eq!(long.body(None).collect().await.unwrap().to_bytes().len(), KEPT_MAX + 1);
    assert!(!long.can_be_sent());
}

#[tokio::test]
async fn a_body_outlives_its_upload() {
    let upload = upload("abcdef", 6, true);
    upload.body(None).collect().await.unwrap();
    let late = upload.body(Some(splice(0..1, "x")));
    drop(upload);
    assert_eq!(late.collect().await.unwrap().to_bytes(), "xbcdef");
}

#[tokio::test]
async fn a_splice_changes_its_range_alone_and_the_length_with_it() {
    let upload = upload("abcdef", 6, true);
    for (range, with, whole) in
        [(1..3, "xyz", "axyzdef"), (0..6, "", ""), (0..0, "x", "xabcdef"), (6..6, "x", "abcdefx"), (2..4, "", "abef")]
    {
        let mut body = upload.body(Some(splice(range, with)));
        let expected = Some(whole.len() as u64);
        assert_eq!(body.size_hint().exact(), expected);
        let mut sent = Vec::new();
        while let Some(frame) = body.frame().await {
            sent.extend_from_slice(&frame.unwrap().into_data().unwrap());
            assert_eq!(body.size_hint().exact(), expected.map(|length| length - sent.len() as u64));
        }
        assert_eq!((String::from_utf8(sent).unwrap().as_str(), body.is_end_stream()), (whole, true));
    }
    let several = [splice(4..6, "z"), splice(0..0, "x"), splice(1..2, "")];
    let body = upload.body(several);
    assert_eq!(body.size_hint().exact(), Some(5));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "xacdz");
    let overlapping = upload.body([splice(0..3, "x"), splice(2..4, "y")]).collect().await;
    assert_eq!(overlapping.unwrap_err(), RequestBodyError::Malformed);
    let beyond = upload.body(Some(splice(5..9, "x"))).collect().await;
    assert_eq!(beyond.unwrap_err(), RequestBodyError::Malformed);
}

async fn arriving(framing: &str, keeps: bool) -> (Upload, DuplexStream) {
    let (body, client) = received(framing).await;
    (Upload::new(Bytes::new(), Some(body), 10 << 20, Room::default(), false, keeps), client)
}

async fn next(body: &mut RequestBody) -> Bytes {
    body.frame().await.expect("a piece").expect("no failure").into_data().expect("data")
}

#[tokio::test]
async fn what_went_out_of_a_body_goes_out_again_with_what_comes_later() {
    let (upload, mut client) = arriving("content-length: 9", true).await;
    client.write_all(b"abc").await.unwrap();
    let mut first = upload.body(None);
    assert_eq!(next(&mut first).await, "abc");
    drop(first);
    assert!(upload.can_be_sent() && !upload.is_whole() && !upload.is_over());
    let mut second = upload.body(None);
    assert_eq!(second.size_hint().exact(), Some(9));
    assert_eq!(next(&mut second).await, "abc");
    client.write_all(b"defghi").await.unwrap();
    assert_eq!(next(&mut second).await, "defghi");
    assert!(second.is_end_stream() && upload.is_whole() && upload.is_over());
    assert_eq!(upload.body(None).collect().await.unwrap().to_bytes(), "abcdefghi");
}

#[tokio::test]
async fn only_the_last_body_reads_what_the_client_still_sends() {
    let (upload, mut client) = arriving("transfer-encoding: chunked", true).await;
    client.write_all(b"3\r\nabc\r\n").await.unwrap();
    let mut old = upload.body(None);
    assert_eq!(next(&mut old).await, "abc");
    let new = upload.body(None);
    assert_eq!(new.size_hint().exact(), None);
    assert_eq!(old.frame().await.unwrap().unwrap_err(), RequestBodyError::Gone);
    assert_eq!(upload.fault(), None, "that is no fault of the client's");
    client.write_all(b"3\r\ndef\r\n0\r\nx-trailer: dropped\r\n\r\n").await.unwrap();
    let whole = new.collect().await.unwrap();
    assert!(whole.trailers().is_none());
    assert_eq!(whole.to_bytes(), "abcdef");
}

/// Bytes that tell whether somebody has them still.
struct Kept(Arc<[u8; 3]>);

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &*self.0
    }
}

#[tokio::test]
async fn a_body_that_is_over_holds_nothing_of_what_was_kept() {
    let (rest, mut client) = received("transfer-encoding: chunked").await;
    let kept = Arc::new(*b"abc");
    let head = Bytes::from_owner(Kept(Arc::clone(&kept)));
    let upload = Upload::new(head, Some(rest), 10 << 20, Room::default(), false, true);
    let mut body = upload.body(None);
    assert_eq!(next(&mut body).await, "abc");
    client.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(body.frame().await.is_none());
    assert!(upload.is_whole() && Arc::strong_count(&kept) == 2);
    drop(upload);
    assert_eq!(Arc::strong_count(&kept), 1, "an answer may hold on to the body for hours");
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn of_a_body_longer_than_is_kept_only_what_comes_is_held() {
    let (upload, mut client) = arriving("transfer-encoding: chunked", true).await;
    let long = vec![b'x'; KEPT_MAX + 1];
    client.write_all(format!("{:x}\r\n", long.len()).as_bytes()).await.unwrap();
    client.write_all(&long).await.unwrap();
    client.write_all(b"\r\n0\r\n\r\n").await.unwrap();
    let whole = upload.body(None).collect().await.unwrap().to_bytes();
    assert_eq!(whole.len(), long.len());
    assert!(!upload.can_be_sent() && upload.is_over());
    assert_eq!(upload.body(None).frame().await.unwrap().unwrap_err(), RequestBodyError::Gone);
}

#[tokio::test]
async fn a_client_that_breaks_its_framing_is_the_fault() {
    let (upload, mut client) = arriving("transfer-encoding: chunked", true).await;
    client.write_all(b"3\r\nabc\r\nZZ\r\n").await.unwrap();
    assert_eq!(upload.body(None).collect().await.unwrap_err(), RequestBodyError::Malformed);
    assert_eq!(upload.fault(), Some(RequestBodyError::Malformed));
    assert!(!upload.can_be_sent(), "no other backend helps");
}

#[tokio::test]
async fn what_is_put_back_goes_out_first() {
    let upload = upload("abcdef", 6, false);
    let mut body = upload.body(Some(splice(0..1, "x")));
    let taken = VecDeque::from([next(&mut body).await, next(&mut body).await]);
    assert!(body.is_end_stream());
    body.put_back(taken);
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(6), false));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "xbcdef");
}
