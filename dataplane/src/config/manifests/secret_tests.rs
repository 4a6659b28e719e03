use super::super::decode::field;
use super::super::node::parse;
use super::*;

fn env(name: &str) -> Option<String> {
    (name == "OPENAI_KEY").then(|| "sk-env".to_owned())
}

fn read_text(text: &str) -> Data {
    read(&parse(text).unwrap()[0], &env)
}

fn told(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(|fault| format!("{}: {}", field(&fault.path), fault.message)).collect()
}

#[test]
fn both_sections_are_read_and_string_data_wins() {
    let data =
        read_text("data: {a: c2stYQ==, b: \"c2st\\nYg==\\n\", n: null}\nstringData: {a: plain, c: '${OPENAI_KEY}'}\n");
    let value = |key: &str| String::from_utf8(data.values[key].clone()).unwrap();
    assert_eq!(
        (value("a"), value("b"), value("c"), value("n")),
        ("plain".into(), "sk-b".into(), "sk-env".into(), String::new())
    );
    assert!(data.faults.is_empty() && data.unset.is_empty());
}

#[test]
fn a_variable_that_is_not_set_is_named_with_its_cure_and_its_key_left_out() {
    let data = read_text("stringData: {a: '${MISSING}', b: x}\n");
    assert_eq!(
        told(&data.unset),
        ["stringData.a: the environment variable MISSING is not set: set it before the start, with export MISSING=…"]
    );
    assert_eq!(data.values.keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_dollar_is_escaped_by_a_dollar() {
    let data = read_text("stringData: {a: '$${OPENAI_KEY}', b: 'x$${y}', c: 'pa$$word$'}\n");
    let value = |key: &str| String::from_utf8(data.values[key].clone()).unwrap();
    assert_eq!((value("a"), value("b"), value("c")), ("${OPENAI_KEY}".into(), "x${y}".into(), "pa$$word$".into()));
}

#[test]
fn faults_name_the_key_and_the_cure_and_quote_no_value() {
    for (text, expected) in [
        ("data: {a: 'sk canary'}", "data.a: this is no base64: encode it, or put it under stringData as it is"),
        ("data: {a: '${X}'}", "data.a: data holds base64: put a value of the environment under stringData"),
        ("data: sk-canary", "data: must be a mapping from keys to values"),
        ("stringData: {a: 123}", "stringData.a: must be a text: put it in quotes"),
        ("stringData: {a: [sk-canary]}", "stringData.a: must be a text: put it in quotes"),
        (
            "stringData: {a: 'Bearer ${OPENAI_KEY}'}",
            "stringData.a: only a whole value can come from the environment: write ${NAME} as the whole value, or $${ for the two characters themselves",
        ),
        (
            "stringData: {a: '${no-name}'}",
            "stringData.a: only a whole value can come from the environment: write ${NAME} as the whole value, or $${ for the two characters themselves",
        ),
    ] {
        assert_eq!(told(&read_text(text).faults), [expected], "{text}");
    }
}
