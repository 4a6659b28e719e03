use crate::relay::stream::Stream;
use crate::relay::{AnswerBody, Relayed};
use crate::upstream::Answer;

/// What an open stream costs here, less the upstream's connection.
#[test]
fn a_stream_is_small() {
    assert!(size_of::<AnswerBody>() <= 40, "{}", size_of::<AnswerBody>());
    assert_eq!(size_of::<Relayed>(), size_of::<usize>());
    assert!(size_of::<Stream<Answer>>() <= 1536, "{}", size_of::<Stream<Answer>>());
}
