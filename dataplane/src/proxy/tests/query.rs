use crate::proxy::query::{Ambiguous, model_of, with_model};
use http::Uri;
use relay_snapshot::ModelRewrite;

#[test]
fn the_model_is_read_from_the_query() {
    for (query, model) in [
        ("", Ok(None)),
        ("model=", Ok(None)),
        ("model", Ok(None)),
        ("a=b&model=gpt-realtime&c", Ok(Some("gpt-realtime"))),
        ("m%6Fdel=gpt%2Drealtime", Ok(Some("gpt-realtime"))),
        ("Model=a&models=b", Ok(None)),
        ("model=%FF", Ok(None)),
        ("model=a&model=a", Err(Ambiguous)),
        ("model=a&mode%6c=b", Err(Ambiguous)),
    ] {
        assert_eq!(model_of(query), model.map(|model: Option<&str>| model.map(str::to_owned)), "{query}");
    }
}

#[test]
fn the_model_is_renamed_and_nothing_else_changes() {
    let uri: Uri = "/v1/realtime?a=%20&model=one&b".parse().unwrap();
    let map = ModelRewrite::Map([("one".to_owned(), "a b/ü".to_owned())].into());
    for (rewrite, target) in [
        (ModelRewrite::None, "/v1/realtime?a=%20&model=one&b"),
        (ModelRewrite::To("two".into()), "/v1/realtime?a=%20&model=two&b"),
        (map, "/v1/realtime?a=%20&model=a%20b%2F%C3%BC&b"),
        (ModelRewrite::Map([("x".to_owned(), "y".to_owned())].into()), "/v1/realtime?a=%20&model=one&b"),
    ] {
        assert_eq!(with_model(&uri, &rewrite).to_string(), target);
    }
    let without: Uri = "/v1/realtime".parse().unwrap();
    assert_eq!(with_model(&without, &ModelRewrite::To("two".into())), without);
}
