//! The log lines of requests, by request id.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// The fields of a line as text.
pub(crate) type Line = BTreeMap<String, String>;

static LINES: LazyLock<Mutex<HashMap<String, Vec<Line>>>> = LazyLock::new(|| {
    let filter = Targets::new().with_target("relay::request", Level::INFO);
    tracing_subscriber::registry().with(Keep.with_filter(filter)).init();
    Mutex::default()
});

/// Begins to keep lines. All tests of the process share them.
pub(crate) fn begin() {
    LazyLock::force(&LINES);
}

/// The lines of one request.
pub(crate) fn lines(request_id: &str) -> Vec<Line> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.get(request_id).cloned().unwrap_or_default()
}

struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Fields(Line::new());
        event.record(&mut line);
        let id = line.0.get("request_id").cloned().unwrap_or_default();
        LINES.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().push(line.0);
    }
}

struct Fields(Line);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
