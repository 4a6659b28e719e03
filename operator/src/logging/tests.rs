use super::*;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing::{debug, info, trace_span, warn};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged under `filter`.
fn logged(filter: &str) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer =
        tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_filter(composed(filter).unwrap());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let _inside = trace_span!(target: "kube_client::client", "HTTP").entered();
        warn!(target: "kube_client::client", "canary: a whole Secret");
        debug!(target: "kube_client::client", "canary: a whole Secret");
        warn!(target: "kube_runtime::watcher", "canary: a parser's error");
        warn!(target: "kube_client::client::tls", "stale roots");
        info!(target: "relay_operator::run", "ours");
    });
    let text = lines.0.lock().unwrap().clone();
    String::from_utf8(text).unwrap()
}

#[test]
fn no_filter_lets_an_answer_of_the_api_server_into_the_log() {
    for filter in [
        "info",
        "trace",
        "debug,relay_operator=trace",
        "info,kube_client=trace",
        "info,kube_client::client=trace,kube_runtime::watcher=trace",
        "info,kube_client::client[HTTP]=trace",
        "info,[HTTP]=trace",
    ] {
        let text = logged(filter);
        assert!(!text.contains("canary"), "{filter}: {text}");
        assert!(text.contains("ours") && text.contains("stale roots"), "{filter}: {text}");
    }
}

#[test]
fn a_filter_of_the_user_holds_otherwise() {
    assert_eq!(logged("error"), "");
    assert_eq!(logged("info,relay_operator=warn,kube_client=off"), "");
    assert!(composed::<tracing_subscriber::Registry>("info,relay=loud").is_err());
}
