use super::*;

fn fault() -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: "deploy/quickstart/route.yaml".into(),
        line: 14,
        column: 10,
        object: "RelayRoute team-a/openai".into(),
        field: "spec.backends[0].url".into(),
        message: "url must be https://".into(),
        source_line: Some("    url: http://provider.test  ".into()),
    }
}

#[test]
fn it_reads_like_a_compilers() {
    let expected = "\
error: spec.backends[0].url: url must be https://
  --> deploy/quickstart/route.yaml:14:10
   |
14 |     url: http://provider.test
   |          ^
   = RelayRoute team-a/openai";
    assert_eq!(fault().to_string(), expected);
}

#[test]
fn without_source_field_object_or_line_the_rest_stands() {
    let bare = Diagnostic {
        severity: Severity::Warning,
        object: String::new(),
        field: String::new(),
        source_line: None,
        ..fault()
    };
    assert_eq!(bare.to_string(), "warning: url must be https://\n  --> deploy/quickstart/route.yaml:14:10");
    let whole = Diagnostic { line: 0, column: 0, source_line: Some("x".into()), ..bare };
    assert_eq!(whole.to_string(), "warning: url must be https://\n --> deploy/quickstart/route.yaml");
}

#[test]
fn a_long_line_is_shown_around_its_fault() {
    let mut long = fault();
    let before: String = "é".repeat(500);
    long.source_line = Some(format!("{before}X{}", "y".repeat(500)));
    long.column = 501;
    let text = long.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let caret = lines[4].chars().position(|c| c == '^').unwrap();
    assert_eq!(lines[3].chars().nth(caret), Some('X'));
    assert!(lines.iter().all(|line| line.chars().count() < 140));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut odd = fault();
    odd.source_line = Some("a\tb\u{1b}[31mc".into());
    assert!(odd.to_string().contains("14 | a b [31mc"));
}

#[test]
fn the_end_says_how_many() {
    let text = render(&[fault(), Diagnostic { severity: Severity::Warning, ..fault() }, fault()]);
    assert!(text.ends_with("\n\n2 errors, 1 warning"), "{text}");
    assert_eq!(count(&[]), "0 errors, 0 warnings");
}
