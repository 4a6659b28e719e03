//! What the relay logs.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

/// While there is only one, tracing asks the thread that comes first to a line whether it is wanted, for all threads and for good; that may be one
/// of another test, where nobody listens.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// What is logged while it lives, on this thread.
pub(crate) struct Logged {
    text: Arc<Mutex<Vec<u8>>>,
    _here: tracing::subscriber::DefaultGuard,
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logged {
    pub(crate) fn begin() -> Self {
        LazyLock::force(&ANOTHER);
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        Self { text, _here: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.lock().expect("no panic").clone()).expect("UTF-8")
    }

    /// The fields of the one request's line.
    pub(crate) fn request(&self) -> Value {
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains("relay::request"));
        let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 1, "{text}");
        lines[0]["fields"].clone()
    }
}
