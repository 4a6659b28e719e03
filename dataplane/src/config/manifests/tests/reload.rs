use super::*;
use std::time::Duration;
use tokio::sync::watch;

const BOUND: Duration = Duration::from_secs(20);

struct Running {
    sink: Sink,
    served: watch::Receiver<Option<Update>>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn begin(dir: &TempDir) -> Running {
    let (sender, served) = watch::channel(None);
    let sink = Sink::new(Arc::new(move |update| _ = sender.send(Some(update))));
    start(dir.path(), &sink).unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run_with(dir.path().to_owned(), Arc::new(nothing), sink.clone(), shutdown.clone()));
    Running { sink, served, shutdown, task }
}

impl Running {
    async fn serves(&mut self, what: impl Fn(&Update) -> bool) -> Update {
        let found = self.served.wait_for(|update| update.as_ref().is_some_and(&what));
        tokio::time::timeout(BOUND, found).await.expect("served in time").unwrap().clone().unwrap()
    }

    async fn counted(&self, outcome: Outcome, times: u64) {
        let counted = async {
            while self.sink.stats()[outcome as usize].1 < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, counted).await.expect("counted in time");
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(BOUND, self.task).await.expect("ends with shutdown").unwrap();
    }
}

fn url_is(update: &Update, url: &str) -> bool {
    update.snapshot.routes[0].backends[0].url == url
}

#[tokio::test]
async fn a_change_is_served_and_sequences_grow() {
    let dir = folder(&[("a.yaml", ROUTE), ("b.yaml", SECRETS)]);
    let mut running = begin(&dir);
    let first = running.serves(|_| true).await;
    fs::write(dir.path().join("a.yaml"), format!("{ROUTE}    url: https://one.test\n")).unwrap();
    let second = running.serves(|update| url_is(update, "https://one.test")).await;
    // As editors save: a new file over the old one.
    fs::write(dir.path().join("a.yaml.new"), format!("{ROUTE}    url: https://two.test\n")).unwrap();
    fs::rename(dir.path().join("a.yaml.new"), dir.path().join("a.yaml")).unwrap();
    let third = running.serves(|update| url_is(update, "https://two.test")).await;
    assert!(first.sequence < second.sequence && second.sequence < third.sequence);
    assert!(first.revision != second.revision && second.revision != third.revision);
    running.stop().await;
}

#[tokio::test]
async fn a_new_file_in_a_new_folder_is_seen() {
    let dir = folder(&[("a.yaml", ROUTE), ("b.yaml", SECRETS)]);
    let mut running = begin(&dir);
    fs::create_dir(dir.path().join("team-b")).unwrap();
    fs::write(dir.path().join("team-b/tenant.yaml"), TENANT).unwrap();
    running.serves(|update| update.snapshot.tenants.len() == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn errors_keep_the_last_good_set_until_they_are_gone() {
    let dir = folder(&[("a.yaml", ROUTE), ("b.yaml", SECRETS)]);
    let mut running = begin(&dir);
    let good = running.serves(|_| true).await;
    for (round, bad) in ["spec: [", "kind: RelayRoute\n", &ROUTE.replace("provider", "provder")].iter().enumerate() {
        fs::write(dir.path().join("c.yaml"), bad).unwrap();
        running.counted(Outcome::Invalid, round as u64 + 1).await;
    }
    assert_eq!(running.served.borrow().clone(), Some(good.clone()));
    fs::remove_file(dir.path().join("c.yaml")).unwrap();
    let before = running.sink.stats()[Outcome::Unchanged as usize].1;
    running.counted(Outcome::Unchanged, before + 1).await;
    assert_eq!(running.served.borrow().clone(), Some(good));
    fs::write(dir.path().join("c.yaml"), TENANT).unwrap();
    running.serves(|update| update.snapshot.tenants.len() == 1).await;
    running.stop().await;
}

#[test]
fn a_start_with_errors_is_refused_and_hands_nothing_over() {
    let sink = Sink::new(Arc::new(|_| panic!("nothing may be taken")));
    assert_eq!(start(folder(&[("a.yaml", "a: [")]).path(), &sink), Err(()));
    assert_eq!(start(folder(&[]).path(), &sink), Err(()));
}
