use crate::upstream::{RequestBody, RequestBodyError};
use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

type Fault = Arc<OnceLock<RequestBodyError>>;

fn body(pieces: &[&'static str], max: u64) -> (RequestBody, Fault) {
    let fault = Fault::default();
    let head: VecDeque<Bytes> = pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
    (RequestBody::new(head, None, max, Arc::clone(&fault)), fault)
}

#[tokio::test]
async fn what_was_read_goes_out_in_order_and_its_length_is_known() {
    let (body, fault) = body(&["ab", "c", "def"], 6);
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(6), false));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abcdef");
    assert_eq!(fault.get(), None);
}

#[tokio::test]
async fn a_byte_too_many_fails_it_and_leaves_word() {
    let (mut body, fault) = body(&["ab", "c", "def"], 5);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "c");
    assert_eq!(body.frame().await.unwrap().unwrap_err(), RequestBodyError::TooLarge);
    assert_eq!(fault.get(), Some(&RequestBodyError::TooLarge));
}

#[tokio::test]
async fn no_body_is_known_to_be_none() {
    let (mut body, _) = body(&[], 0);
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
    assert!(body.frame().await.is_none());
}
