use crate::proxy::query::{Ambiguous, model_of, renamed};
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
    let query = "a=%20&model=one&b";
    let map = |from: &str, to: &str| ModelRewrite::Map([(from.to_owned(), to.to_owned())].into());
    for (rewrite, target) in [
        (ModelRewrite::None, None),
        (ModelRewrite::To("two".into()), Some("a=%20&model=two&b")),
        (map("one", "a b/ü"), Some("a=%20&model=a%20b%2F%C3%BC&b")),
        (map("x", "y"), None),
    ] {
        assert_eq!(renamed(query, &rewrite).as_deref(), target);
    }
    assert_eq!(renamed("a=b", &ModelRewrite::To("two".into())), None);
}
