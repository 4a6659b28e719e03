use super::*;
use relay_snapshot::shards::{Shards, split};
use relay_snapshot::{
    Backend, Credential, Limits, Match, ObjectId, PathRule, Policy, Provider, Route, SecretText, Snapshot, Timeouts,
};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::watch;

const BOUND: std::time::Duration = std::time::Duration::from_secs(20);

fn snapshot(key: &str) -> Snapshot {
    let credential = Credential { header: "x-api-key".into(), scheme: None, secret: Some(SecretText::new(key)) };
    let backend = Backend {
        credential: Some(credential),
        ..Backend::new("main", Provider::Anthropic, "https://api.anthropic.com")
    };
    let route = Route {
        id: ObjectId::new("team-a", "claude"),
        created: 0,
        tenants: vec![],
        matches: vec![Match {
            path: PathRule::Prefix("/v1".into()),
            methods: vec![],
            models: vec![],
            headers: Vec::new(),
        }],
        backends: vec![backend],
        timeouts: Timeouts { first_byte_ms: 1, idle_ms: 1, ..Default::default() },
        body_max: 1,
        policy: Policy::default(),
        limits: Limits::default(),
        ready: true,
    };
    Snapshot { routes: vec![route], tenants: vec![] }
}

fn files(shards: &Shards, sequence: u64) -> Vec<(String, String)> {
    let index = serde_json::to_string(&shards.index(sequence)).unwrap();
    let texts = shards.configs.iter().chain(&shards.secrets).map(|(name, text)| (name.clone(), text.clone()));
    texts.chain([(INDEX_NAME.to_owned(), index)]).map(|(name, text)| (format!("{name}.json"), text)).collect()
}

/// As the kubelet's AtomicWriter: a folder by time, a link to it that is renamed over `..data`, the old folder removed.
fn swap(dir: &Path, generation: u32, files: &[(String, String)]) {
    let folder = dir.join(format!("..2024_01_01_{generation}"));
    fs::create_dir(&folder).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
        _ = symlink(Path::new("..data").join(name), dir.join(name));
    }
    let old = fs::read_link(dir.join("..data")).ok();
    symlink(folder.file_name().unwrap(), dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    if let Some(old) = old {
        fs::remove_dir_all(dir.join(old)).unwrap();
    }
}

struct Running {
    sink: Sink,
    served: watch::Receiver<Option<Update>>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(dir: &Path) -> Running {
    let (sender, served) = watch::channel(None);
    let sink = Sink::new(Arc::new(move |update| _ = sender.send(Some(update))));
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(dir.to_owned(), sink.clone(), shutdown.clone()));
    Running { sink, served, shutdown, task }
}

impl Running {
    async fn serves(&mut self, sequence: u64) -> Update {
        let found = self.served.wait_for(|update| update.as_ref().is_some_and(|update| update.sequence == sequence));
        tokio::time::timeout(BOUND, found).await.expect("served in time").unwrap().clone().unwrap()
    }

    async fn counted(&self, outcome: Outcome) {
        let counted = async {
            while self.sink.stats()[outcome as usize].1 == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, counted).await.expect("counted in time");
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

#[test]
fn reads_the_generation_that_the_link_names() {
    let dir = TempDir::new().unwrap();
    let shards = split(&snapshot("sk-1")).unwrap();
    swap(dir.path(), 1, &files(&shards, 4));
    let update = read_once(dir.path()).unwrap();
    assert_eq!((update.snapshot, update.revision, update.sequence), (snapshot("sk-1"), shards.revision, 4));
}

#[test]
fn reads_a_plain_folder_too() {
    let dir = TempDir::new().unwrap();
    for (name, text) in files(&split(&snapshot("sk-1")).unwrap(), 4) {
        fs::write(dir.path().join(name), text).unwrap();
    }
    assert_eq!(read_once(dir.path()).unwrap().snapshot, snapshot("sk-1"));
}

#[test]
fn an_empty_volume_is_no_error_but_nothing_yet() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(read_once(dir.path()), Err(MountError::NothingYet { .. })));
    assert!(matches!(read_once(&dir.path().join("absent")), Err(MountError::NothingYet { .. })));
    swap(dir.path(), 1, &[("relay-config.json".into(), "\n".into())]);
    let error = read_once(dir.path()).unwrap_err();
    assert!(matches!(error, MountError::NothingYet { .. }) && error.outcome().is_none());
}

#[test]
fn mixed_generations_are_refused() {
    let dir = TempDir::new().unwrap();
    let mut mixed = files(&split(&snapshot("sk-new")).unwrap(), 5);
    mixed.retain(|(name, _)| name == "relay-config.json");
    mixed.extend(
        files(&split(&snapshot("sk-old")).unwrap(), 4).into_iter().filter(|(name, _)| name != "relay-config.json"),
    );
    swap(dir.path(), 1, &mixed);
    let error = read_once(dir.path()).unwrap_err();
    assert!(
        matches!(&error, MountError::Set(AssembleError::Mismatch { name }) if name.starts_with("relay-secrets-")),
        "{error}"
    );
    assert!(!error.to_string().contains("sk-"));
}

#[test]
fn a_missing_shard_a_torn_index_and_a_huge_file_are_named() {
    let dir = TempDir::new().unwrap();
    let mut set = files(&split(&snapshot("sk-1")).unwrap(), 1);
    set.retain(|(name, _)| name != "relay-config-7.json");
    swap(dir.path(), 1, &set);
    let error = read_once(dir.path()).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.outcome()),
        ("shard relay-config-7 is missing", Some(Outcome::Missing))
    );
    swap(dir.path(), 2, &[("relay-config.json".into(), "{\"format\":1,".into())]);
    assert_eq!(read_once(dir.path()).unwrap_err().outcome(), Some(Outcome::Unreadable));
    swap(dir.path(), 3, &[("relay-config.json".into(), " ".repeat(3 * 1024 * 1024))]);
    assert!(matches!(read_once(dir.path()), Err(MountError::TooLong { .. })));
}

#[test]
fn the_index_cannot_name_a_file_outside_of_the_volume() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("volume")).unwrap();
    fs::write(dir.path().join("outside.json"), "{}").unwrap();
    let index = r#"{"format":1,"minReader":1,"sequence":1,"revision":"r","shards":{"../outside":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#;
    fs::write(dir.path().join("volume/relay-config.json"), index).unwrap();
    let error = read_once(&dir.path().join("volume")).unwrap_err();
    assert!(matches!(error, MountError::Set(AssembleError::Missing { .. })), "{error}");
}

#[tokio::test]
async fn a_swap_of_the_volume_is_taken_within_the_poll() {
    let dir = TempDir::new().unwrap();
    let mut running = start(dir.path());
    for generation in 1..=3 {
        swap(
            dir.path(),
            generation,
            &files(&split(&snapshot(&format!("sk-{generation}"))).unwrap(), u64::from(generation)),
        );
        let update = running.serves(u64::from(generation)).await;
        assert_eq!(update.snapshot, snapshot(&format!("sk-{generation}")));
    }
    running.stop().await;
}

#[tokio::test]
async fn a_volume_that_comes_later_is_found() {
    let dir = TempDir::new().unwrap();
    let volume = dir.path().join("relay");
    let mut running = start(&volume);
    fs::create_dir(&volume).unwrap();
    swap(&volume, 1, &files(&split(&snapshot("sk-1")).unwrap(), 1));
    running.serves(1).await;
    running.stop().await;
}

#[tokio::test]
async fn a_bad_or_older_volume_keeps_what_is_served() {
    let dir = TempDir::new().unwrap();
    swap(dir.path(), 1, &files(&split(&snapshot("sk-1")).unwrap(), 5));
    let mut running = start(dir.path());
    running.serves(5).await;
    swap(dir.path(), 2, &[("relay-config.json".into(), "no json".into())]);
    running.counted(Outcome::Unreadable).await;
    swap(dir.path(), 3, &files(&split(&snapshot("sk-0")).unwrap(), 4));
    running.counted(Outcome::Stale).await;
    assert_eq!(running.served.borrow().as_ref().unwrap().snapshot, snapshot("sk-1"));
    swap(dir.path(), 4, &files(&split(&snapshot("sk-2")).unwrap(), 6));
    assert_eq!(running.serves(6).await.snapshot, snapshot("sk-2"));
    running.stop().await;
}
