use http::HeaderMap;

use super::Family;

#[test]
fn the_key_is_where_the_familys_clients_put_it() {
    let with = |name: &'static str, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a header value"));
        headers
    };
    let bearer = with("authorization", "bearer k");
    for family in [Family::OpenAi, Family::AzureOpenAi, Family::Anthropic, Family::AzureSpeech] {
        assert_eq!(family.credential(&bearer), Some("k"));
        assert_eq!(family.credential(&with("authorization", "Basic k")), None);
        assert_eq!(family.credential(&with("authorization", "Bearer ")), None);
    }
    assert_eq!(Family::Anthropic.credential(&with("x-api-key", "k")), Some("k"));
    assert_eq!(Family::OpenAi.credential(&with("x-api-key", "k")), None);
    assert_eq!(Family::AzureOpenAi.credential(&with("api-key", "k")), Some("k"));
    assert_eq!(Family::Gemini.credential(&with("x-goog-api-key", "k")), Some("k"));
    assert_eq!(Family::ElevenLabs.credential(&with("xi-api-key", "k")), Some("k"));
    assert_eq!(Family::AzureSpeech.credential(&with("ocp-apim-subscription-key", "k")), Some("k"));
}
