use super::{WORDS, audio, audio_sha256, sha256, text, token};

#[test]
fn the_text_is_its_tokens_and_known_beforehand() {
    assert_eq!(text(0), "");
    assert_eq!(text(4), "water than to 🌊");
    // What the Python of the module's documentation gives.
    assert_eq!(sha256(text(1000).as_bytes()), "53d0d78b4f1ed4efe32115d8bb6093cf67e9ecc06b509b51ed0809c0af070a26");
    assert_eq!((0..100).map(token).collect::<String>(), text(100));
}

#[test]
fn no_word_needs_escaping_in_json() {
    for word in WORDS {
        assert_eq!(serde_json::Value::from(word).to_string(), format!("\"{word}\""));
    }
}

#[test]
fn audio_is_the_same_from_wherever_it_is_read() {
    let whole = audio(0, 1000);
    // splitmix64 of seed 0: the published first value.
    assert_eq!(whole[..8], 0xE220_A839_7B1D_CDAF_u64.to_le_bytes());
    for (start, length) in [(0, 1), (3, 10), (8, 8), (15, 985), (999, 1), (7, 0)] {
        assert_eq!(audio(start, length), whole[start..start + length], "{start}+{length}");
    }
    assert_eq!(audio_sha256(1000), sha256(&whole));
    assert_eq!(audio_sha256(200_000), sha256(&audio(0, 200_000)));
    // What the Python of the module's documentation gives.
    assert_eq!(audio_sha256(100_001), "ef1dbd0a83e586668b61ca203196a6837ace0ee0984ab57708e1d74716a13394");
}
