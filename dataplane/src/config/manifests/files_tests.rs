use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

fn names(dir: &Path) -> Vec<String> {
    let (sources, unread) = read_all(dir);
    assert!(unread.is_empty(), "{}", unread[0].message);
    sources.iter().map(|source| source.path.strip_prefix(dir).unwrap().display().to_string()).collect()
}

#[test]
fn finds_manifests_in_order_and_nothing_hidden() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("b/c")).unwrap();
    fs::create_dir_all(dir.path().join(".git")).unwrap();
    for name in ["z.yaml", "a.yml", "b/c/x.json", "b/.hidden.yaml", ".git/x.yaml", "note.txt", "yaml", "a.yaml~"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    assert_eq!(names(dir.path()), ["a.yml", "b/c/x.json", "z.yaml"]);
}

#[test]
fn follows_links_as_a_mounted_configmap_has_them_and_not_in_circles() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("..2024/")).unwrap();
    fs::write(dir.path().join("..2024/route.yaml"), "a: 1").unwrap();
    symlink("..2024", dir.path().join("..data")).unwrap();
    symlink("..data/route.yaml", dir.path().join("route.yaml")).unwrap();
    symlink(dir.path(), dir.path().join("circle")).unwrap();
    assert_eq!(names(dir.path()), ["route.yaml"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = TempDir::new().unwrap();
    let (_, unread) = read_all(dir.path());
    assert!(unread[0].message.contains("holds no *.yaml"));
    let (_, unread) = read_all(&dir.path().join("absent"));
    assert!(unread[0].message.starts_with("cannot read the folder"), "{}", unread[0].message);
    symlink("nowhere", dir.path().join("a.yaml")).unwrap();
    fs::write(dir.path().join("b.yaml"), b"a: 1\nbb: \xff\n").unwrap();
    fs::File::create(dir.path().join("c.yaml")).unwrap().set_len(FILE_MAX_BYTES + 1).unwrap();
    let (sources, unread) = read_all(dir.path());
    assert!(sources.is_empty());
    let messages: Vec<_> = unread.iter().map(|unread| unread.message.as_str()).collect();
    assert!(messages[0].starts_with("cannot read the file"), "{messages:?}");
    assert_eq!((messages[1].contains("UTF-8"), unread[1].mark), (true, Mark { line: 2, column: 5 }));
    assert_eq!(messages[2], "the file is longer than 16 MiB: split it");
}

#[test]
fn the_number_of_files_is_bounded() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("one"), "").unwrap();
    for number in 0..=FILES_MAX {
        fs::hard_link(dir.path().join("one"), dir.path().join(format!("{number}.yaml"))).unwrap();
    }
    let (sources, unread) = read_all(dir.path());
    assert_eq!((sources.len(), unread.len()), (FILES_MAX, 1));
    assert!(unread[0].message.starts_with("more than 10000 manifests"));
}

#[test]
fn a_document_reaches_from_one_separator_to_the_next() {
    let source = Source { path: PathBuf::new(), text: "a\n---\nb\nc\n--- # x\nd\n".into() };
    let around = |line| source.document_around(line).collect::<Vec<_>>().join(",");
    assert_eq!(around(1), "a");
    assert_eq!(around(3), "---,b,c");
    assert_eq!(around(4), "---,b,c");
    assert_eq!(around(6), "--- # x,d");
    assert_eq!(around(99), "--- # x,d");
    assert_eq!(source.line(4), Some("c"));
    assert_eq!((source.line(0), source.line(9)), (None, None));
}

#[test]
fn a_line_near_a_secret_may_be_one() {
    let source = Source {
        path: PathBuf::new(),
        text: "kind: RelayRoute\nmetadata: {}\nsecretRef: x\n---\nkind: Secret\n-----BEGIN KEY-----\nabc\n---\nstringData:\n  a: b\n".into(),
    };
    let hidden: Vec<usize> = (1..=10).filter(|line| source.may_be_secret(*line)).collect();
    assert_eq!(hidden, [4, 5, 6, 7, 8, 9, 10]);
    let json = Source { path: PathBuf::new(), text: "{\"kind\": \"X\",\n\"data\": {\"a\":\n \"b\"".into() };
    assert!(json.may_be_secret(3));
}
