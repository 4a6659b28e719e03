//! One cell: a proxy, a provider and a client of its own, on a runtime of its own, so that a clock can be paused.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use relay_e2e::provider::tls::{Alpn, Tls};
use relay_e2e::provider::{Config, Ended, Provider, Recorded};
use relay_snapshot::{Backend, Credential, Policy, Retries, Route, SecretText, Snapshot, Timeouts};

use crate::client::{Answer, Client, Protocol};
use crate::config::{self, CREDENTIAL, KEY};
use crate::endings::{BOUND_MS, Body, Ending, Expected};
use crate::formats::{Format, Units};
use crate::house::{self, House, Sample, eventually, wait_for};
use crate::log;
use crate::told;

/// Bytes of each answer that the provider keeps for comparison.
const KEPT: usize = 1 << 20;
/// Real time that no cell needs, whatever else the machine does.
const LIMIT: Duration = Duration::from_mins(1);
/// Tokens of the budget that stops streams: more than any cell's own.
const BUDGET: u64 = 10_000;
/// A client that leaves has read so much.
const READ_BEFORE_LEAVING: usize = 8 << 10;

/// Where a cell stands.
pub(crate) struct Cell {
    pub(crate) format: &'static Format,
    pub(crate) ending: Ending,
    /// What the client speaks.
    pub(crate) client: Protocol,
    /// What the provider speaks: h1 in the clear, h2 over TLS.
    pub(crate) upstream: Protocol,
}

/// What came of it.
struct Came {
    answer: Option<Answer>,
    recorded: Recorded,
    id: String,
    house: House,
}

impl Cell {
    /// Everything that is not as the rules say, a line each.
    pub(crate) fn differences(self) -> Vec<String> {
        let name = self.name();
        let (sender, receiver) = mpsc::channel();
        // On a thread of its own: a limit in the runtime would run out at once on a paused clock.
        std::thread::spawn(move || sender.send(self.run()));
        let found = receiver.recv_timeout(LIMIT).unwrap_or_else(|error| vec![format!("did not end: {error}")]);
        found.into_iter().map(|difference| format!("{name}: {difference}")).collect()
    }

    fn name(&self) -> String {
        format!("{}-{:?}-{:?}-to-{:?}", self.format.name, self.ending, self.client, self.upstream)
    }

    fn run(&self) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let expected = self.ending.expected(self.format, self.upstream);
        runtime.block_on(async {
            let came = match self.play().await {
                Ok(came) => came,
                Err(difference) => return vec![difference],
            };
            let mut found = self.in_the_answer(&came, &expected);
            found.extend(self.at_the_provider(&came, &expected));
            found.extend(self.in_metrics_and_log(&came, &expected).await);
            found
        })
    }

    fn snapshot(&self, provider: &Provider) -> Snapshot {
        let format = self.format;
        let (header, scheme) = format.credential;
        let transport = if provider.ca().is_some() { "https" } else { "http" };
        let secret = Some(SecretText::new(CREDENTIAL));
        let backend = Backend {
            credential: Some(Credential { header: header.to_owned(), scheme: scheme.map(str::to_owned), secret }),
            ca: provider.ca().map(str::to_owned),
            ..Backend::new("upstream", format.provider, format!("{transport}://{}", provider.addr()))
        };
        let bound = |ending: &[Ending]| if ending.contains(&self.ending) { BOUND_MS } else { 0 };
        let route = Route {
            timeouts: Timeouts {
                first_byte_ms: bound(&[Ending::NoHead, Ending::NoFirstByte]),
                idle_ms: bound(&[Ending::Idle]),
                total_ms: bound(&[Ending::Total]),
                ..Timeouts::default()
            },
            policy: Policy {
                format: format.wire,
                // A failure before the first byte is shown, not mended.
                retries: Retries { attempts: 0, ..Retries::default() },
                ..Policy::default()
            },
            ..config::route("cell", "/", vec![backend])
        };
        let mut snapshot = config::snapshot(vec![route]);
        if self.ending == Ending::Spent {
            snapshot.tenants = vec![config::stopping("a", BUDGET)];
        }
        snapshot
    }

    fn request(&self, house: &House, id: &str) -> Request<Full<Bytes>> {
        let model = self.ending.model();
        let path = self.format.path.replace("MODEL", &model);
        let uri = match self.client {
            Protocol::H1 => path,
            Protocol::H2 => format!("http://{}{path}", house.addr),
        };
        let mut request =
            Request::post(uri).header("authorization", format!("Bearer {KEY}")).header("x-request-id", id);
        if self.client == Protocol::H1 {
            request = request.header("host", house.addr.to_string());
        }
        for (name, value) in self.format.headers {
            request = request.header(*name, *value);
        }
        let body = self.format.body.replace("MODEL", &model);
        request.body(Full::new(Bytes::from(body))).expect("a request")
    }

    /// The difference: the provider saw nothing.
    async fn play(&self) -> Result<Came, String> {
        log::begin();
        let tls = match self.upstream {
            Protocol::H1 => None,
            Protocol::H2 => Some(Tls::made_for(&["127.0.0.1"], Alpn::Both).expect("a certificate")),
        };
        let config = Config { keep: KEPT, tls, ..Config::default() };
        let provider = Provider::start(config).await.expect("a free port");
        let house = House::new(&self.snapshot(&provider)).await;
        let id = self.name();
        let mut client = Client::connect(house.addr, self.client).await;
        let answer = self.converse(&mut client, self.request(&house, &id), &house, &provider).await;
        drop(client);
        if let Some(answer) = answer.as_ref().filter(|_| provider.requests().is_empty()) {
            return Err(format!("the provider was not asked: {} {}", answer.status, text(&answer.body)));
        }
        let over = |requests: &[Recorded]| requests.iter().any(|one| one.outcome.ended.is_some());
        let recorded = wait_for(&provider, over).await.remove(0);
        Ok(Came { answer, recorded, id, house })
    }

    /// The answer as far as the client reads it; none where it does not read to the end.
    async fn converse(
        &self,
        client: &mut Client,
        request: Request<Full<Bytes>>,
        house: &House,
        provider: &Provider,
    ) -> Option<Answer> {
        if matches!(self.ending, Ending::NoHead | Ending::NoFirstByte) {
            let has_begun = |requests: &[Recorded]| {
                let head = self.ending == Ending::NoFirstByte;
                requests.iter().any(|one| !head || one.outcome.head_ms.is_some())
            };
            let (mut answer, ()) = tokio::join!(client.send(request), async {
                wait_for(provider, has_begun).await;
                tokio::time::pause();
            });
            answer.read_to(usize::MAX).await;
            return Some(answer);
        }
        let mut answer = client.send(request).await;
        match self.ending {
            Ending::ClientGone => {
                answer.read_to(READ_BEFORE_LEAVING).await;
                return None;
            }
            Ending::Idle | Ending::Total => {
                self.read_to_the_stall(&mut answer, provider).await;
                // Nothing is under way: the clock jumps to the bound.
                tokio::time::pause();
            }
            Ending::Drained => {
                self.read_to_the_stall(&mut answer, provider).await;
                house.proxy.drain.closing.cancel();
                house.proxy.drain.cut.cancel();
            }
            Ending::Spent => {
                self.read_to_the_stall(&mut answer, provider).await;
                house::spend(house, &config::stopping("a", BUDGET), BUDGET).await;
            }
            _ => {}
        }
        answer.read_to(usize::MAX).await;
        Some(answer)
    }

    /// Reads all that the provider sends before it falls silent: three tokens or pieces.
    async fn read_to_the_stall(&self, answer: &mut Answer, provider: &Provider) {
        let words = self.ending.model();
        let lead = match self.format.name {
            "Chat" | "SiliconFlow" | "Opaque" => 1,
            "AzureOpenAI" => 2,
            "Messages" => 3,
            "Responses" => 4,
            _ => 0,
        };
        let silent = |requests: &[Recorded]| requests.iter().any(|one| one.outcome.chunks_sent == lead + 3);
        let sent = wait_for(provider, silent).await.remove(0).outcome.bytes_sent;
        answer.read_to(usize::try_from(sent).expect("little")).await;
        assert!(!answer.whole, "{words} ended before its stall");
    }

    fn in_the_answer(&self, came: &Came, expected: &Expected) -> Vec<String> {
        let mut found = Vec::new();
        let Some(answer) = &came.answer else { return found };
        let sent = came.recorded.outcome.body();
        let reason = expected.reason.unwrap_or_default();
        differ(&mut found, "status", &answer.status, &expected.status);
        differ(&mut found, "clean end", &answer.whole, &expected.whole);
        match expected.body {
            Body::AsSent if answer.body != sent => {
                found.push(format!("the body is not what was sent: {:?} for {:?}", text(&answer.body), text(&sent)));
            }
            Body::Beginning if !sent.starts_with(&answer.body) || answer.body.is_empty() => {
                found.push(format!("the body is no beginning of what was sent: {:?}", text(&answer.body)));
            }
            Body::UnitsThenError => found.extend(self.in_the_end(&answer.body, &sent, reason, &came.id)),
            Body::Refusal => {
                for (name, value) in [("x-relay-error", reason), ("x-request-id", &came.id)] {
                    let header = answer.headers.get(name).map(|value| value.to_str().unwrap_or_default());
                    differ(&mut found, name, &header, &Some(value));
                }
                found.extend(told::wrong_body(self.format, &answer.body, reason, &came.id));
            }
            Body::AsSent | Body::Beginning | Body::Unread => {}
        }
        if let (Ending::Complete, Some(terminal)) = (self.ending, self.format.terminal) {
            let last = text(&answer.body[whole_units(self.format.units, &answer.body[..answer.body.len() - 4])..]);
            differ(&mut found, "terminal unit last", &last.contains(terminal), &true);
        }
        found
    }

    /// Whole units as they were sent, then one error in the format's words.
    fn in_the_end(&self, body: &[u8], sent: &[u8], reason: &str, id: &str) -> Option<String> {
        let units = &sent[..whole_units(self.format.units, sent)];
        let Some(error) = body.strip_prefix(units) else {
            return Some(format!("the body does not begin with the units sent: {:?}", text(body)));
        };
        let before = count_units(self.format.units, units);
        if before < 3 {
            return Some(format!("only {before} units were sent"));
        }
        told::wrong_event(self.format, error, before, reason, id)
    }

    fn at_the_provider(&self, came: &Came, expected: &Expected) -> Vec<String> {
        let mut found = Vec::new();
        let (request, outcome) = (&came.recorded.request, &came.recorded.outcome);
        let protocol = format!("{:?}", self.upstream).to_lowercase();
        differ(&mut found, "protocol at the provider", &request.protocol, &protocol);
        differ(&mut found, "end at the provider", &outcome.ended, &Some(expected.upstream));
        if expected.cancelled {
            // Six whole pieces, or a million tokens, were to come.
            let all = outcome.ended == Some(Ended::Complete) || outcome.bytes_sent >= 64 << 20;
            differ(&mut found, "everything sent before the cancellation", &all, &false);
        }
        let holding = |secret: &str| request.headers.iter().filter(|(_, value)| value.contains(secret)).count();
        differ(&mut found, "headers with the tenant's key", &holding(KEY), &0);
        differ(&mut found, "headers with the provider's key", &holding(CREDENTIAL), &1);
        found
    }

    async fn in_metrics_and_log(&self, came: &Came, expected: &Expected) -> Vec<String> {
        let mut found = Vec::new();
        let Came { house, id, answer, .. } = came;
        let provider = self.format.provider.name();
        eventually("the request is counted", || !house.samples("relay_requests_total").is_empty()).await;
        let code = expected.status.to_string();
        let labels = [
            ("route", "team/cell"),
            ("tenant", "team/a"),
            ("provider", provider),
            ("code", code.as_str()),
            ("end", expected.end),
        ];
        differ(&mut found, "relay_requests_total", &house.samples("relay_requests_total"), &vec![sample(&labels)]);
        let errors: Vec<Sample> = expected
            .reason
            .map(|reason| sample(&[("route", "team/cell"), ("provider", provider), ("reason", reason)]))
            .into_iter()
            .collect();
        differ(&mut found, "relay_errors_total", &house.samples("relay_errors_total"), &errors);
        let lines = log::lines(id);
        let [line] = lines.as_slice() else { return vec![format!("{} log lines: {lines:?}", lines.len())] };
        let path = self.format.path.replace("MODEL", &self.ending.model());
        let path = path.split('?').next().unwrap_or_default();
        for (field, value) in
            labels.iter().chain(&[("method", "POST"), ("path", path), ("backend", "upstream"), ("kind", self.kind())])
        {
            differ(&mut found, &format!("log {field}"), &line.get(*field).map(String::as_str), &Some(*value));
        }
        differ(&mut found, "log reason", &line.get("reason").map(String::as_str), &expected.reason);
        if let Some(answer) = answer.as_ref().filter(|_| expected.whole && expected.body != Body::Refusal) {
            let logged = line.get("bytes_out").and_then(|bytes| bytes.parse::<usize>().ok());
            differ(&mut found, "log bytes_out", &logged, &Some(answer.body.len()));
        }
        found
    }

    /// What the log says that the answer carried.
    fn kind(&self) -> &'static str {
        let format = self.format;
        match self.ending {
            Ending::NoHead | Ending::NoFirstByte => "json",
            // Azure's errors are plain text.
            Ending::ErrorFirst if format.units == Units::Bytes && format.name == "AzureSpeech" => "binary",
            Ending::ErrorFirst if format.units == Units::Bytes && format.name != "Opaque" => "json",
            _ => format.kind,
        }
    }
}

fn sample(labels: &[(&str, &str)]) -> Sample {
    (labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(), 1)
}

fn differ<T: PartialEq + std::fmt::Debug>(found: &mut Vec<String>, what: &str, is: &T, should: &T) {
    if is != should {
        found.push(format!("{what} is {is:?}, not {should:?}"));
    }
}

/// The end of the last whole unit.
fn whole_units(units: Units, bytes: &[u8]) -> usize {
    let end = separator(units);
    bytes.windows(end.len()).rposition(|part| part == end.as_bytes()).map_or(0, |at| at + end.len())
}

fn count_units(units: Units, bytes: &[u8]) -> usize {
    let end = separator(units);
    bytes.windows(end.len()).filter(|part| *part == end.as_bytes()).count()
}

fn separator(units: Units) -> String {
    match units {
        Units::Events(end) => end.repeat(2),
        Units::Lines | Units::Bytes => "\n".to_owned(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(600)..]).into_owned()
}
