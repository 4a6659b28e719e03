use super::*;
use std::fmt::Write as _;

fn one(text: &str) -> Node {
    let mut nodes = parse(text).unwrap();
    assert_eq!(nodes.len(), 1);
    nodes.remove(0)
}

fn mark(line: usize, column: usize) -> Mark {
    Mark { line, column }
}

#[test]
fn every_value_and_key_knows_its_place() {
    let node = one("kind: A\nspec:\n  list:\n  - {name: x, url: \"http://é\"}\n  - name: y\n    url: z\n");
    assert_eq!(node.mark, mark(1, 1));
    for (path, value, key) in [
        ("kind", mark(1, 7), Some(mark(1, 1))),
        ("spec", mark(3, 3), Some(mark(2, 1))),
        ("spec.list[0]", mark(4, 5), None),
        ("spec.list[0].url", mark(4, 20), Some(mark(4, 15))),
        ("spec.list[1].url", mark(6, 10), Some(mark(6, 5))),
        ("spec.list[1].url.deeper[3]", mark(6, 10), None),
        ("spec.list[7].url", mark(4, 5), None),
        ("spec.absent.more", mark(3, 3), None),
    ] {
        assert_eq!((node.find(&steps(path)), node.find_key(&steps(path))), (value, key), "{path}");
    }
}

#[test]
fn documents_keep_their_lines_and_empty_ones_are_skipped() {
    let nodes = parse("# head\n---\na: 1\n---\n---\n# none\n---\nb: 2\n...\n").unwrap();
    assert_eq!(nodes.iter().map(|node| node.mark.line).collect::<Vec<_>>(), [3, 8]);
}

#[test]
fn json_is_read_as_it_is_indented_by_tools() {
    let node =
        one("{\n\t\"kind\": \"List\",\n\t\"items\": [\n\t\t{\"a\": 1.5, \"b\": null, \"c\": \"\\u00e9\\/\"}\n\t]\n}\n");
    assert_eq!(node.to_json(), serde_json::json!({"kind": "List", "items": [{"a": 1.5, "c": "é/"}]}));
    assert_eq!(node.find(&steps("items[0].a")), mark(4, 9));
}

#[test]
fn scalars_are_what_kubernetes_takes_them_for() {
    let node = one(
        "a: 12\nb: -3\nc: 1.5\nd: true\ne: 'true'\nf: 007x\ng: ~\nh: |\n  text\ni: [null]\nj: 0x1f\nk: 12345678901234567890123\n",
    );
    let json = node.to_json();
    assert_eq!(json["a"], 12);
    assert_eq!((&json["b"], &json["c"], &json["d"]), (&(-3).into(), &1.5.into(), &true.into()));
    assert_eq!((&json["e"], &json["f"], &json["h"]), (&"true".into(), &"007x".into(), &"text\n".into()));
    assert!(json.get("g").is_none());
    assert_eq!(json["i"], serde_json::json!([null]));
    assert_eq!(json["j"], 31);
    assert!(json["k"].is_f64(), "{}", json["k"]);
}

#[test]
fn aliases_stand_for_their_value() {
    let node = one("base: &base {url: x}\nuse: *base\nmerged:\n  <<: *base\n  name: w\n");
    assert_eq!(node.to_json()["use"], serde_json::json!({"url": "x"}));
    assert_eq!(node.to_json()["merged"], serde_json::json!({"url": "x", "name": "w"}));
}

#[test]
fn faults_say_where_and_quote_no_value() {
    for (text, place, message) in [
        ("a: 1\nb: [1, 2\nc: sk-canary\n", None, "this is no YAML"),
        ("a: b: sk-canary\n", Some(mark(1, 5)), "this is no YAML"),
        ("a: 'sk-canary\n", None, "this is no YAML"),
        ("a: 1\nb: 2\na: sk-canary\n", Some(mark(3, 1)), "a is set twice"),
        ("a: *sk\n", Some(mark(1, 4)), "no anchor"),
        ("a: .nan\n", Some(mark(1, 4)), "finite"),
        ("a:\n\tb: sk-canary\n", None, "this is no YAML"),
        ("? [sk-canary, x]\n: 1\n", None, "no value that a manifest can hold"),
    ] {
        let fault = parse(text).err().unwrap_or_else(|| panic!("{text:?} was read"));
        assert!(fault.message.contains(message), "{text:?}: {}", fault.message);
        assert!(!fault.message.contains("canary"), "{}", fault.message);
        assert!(fault.mark.line > 0, "{text:?}: {fault:?}");
        if let Some(place) = place {
            assert_eq!(fault.mark, place, "{text:?}");
        }
    }
}

#[test]
fn unfolding_and_depth_are_bounded() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let last = level - 1;
        writeln!(bomb, "a{level}: &a{level} [{}]", vec![format!("*a{last}"); 10].join(", ")).unwrap();
    }
    assert!(parse(&bomb).err().unwrap().message.contains("too much"));
    let deep = "[".repeat(10_000);
    assert!(parse(&deep).is_err());
}

#[test]
fn the_deepest_values_fit_the_stack() {
    let depth = DEPTH_MAX - 1;
    let list = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let map = (0..depth).map(|level| " ".repeat(level) + "a:\n").collect::<Vec<_>>().concat();
    let read = move || [list, map].map(|text| parse(&text).map(|nodes| nodes[0].to_json().is_null()));
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(read).unwrap();
    assert_eq!(thread.join().unwrap(), [Ok(false), Ok(false)]);
}

#[test]
fn paths_are_read_as_far_as_they_make_sense() {
    let key = |name: &str| Step::Key(name.into());
    assert_eq!(steps("spec.backends[0].url"), [key("spec"), key("backends"), Step::Index(0), key("url")]);
    assert_eq!(steps("a[\"b.c/d\"].e"), [key("a"), key("b.c/d"), key("e")]);
    assert_eq!(steps("a[name=ci].b"), [key("a")]);
    assert_eq!(steps(""), []);
    assert_eq!(steps("a..b"), [key("a")]);
}
