//! The rules that the API server enforces with CEL, and their messages. Each message names the cure.
//!
//! `relay-compile` gives the same messages for the same faults, so that a user reads one text, in a cluster or without.

/// A rule: the CEL expression over `self`, and what the user reads when it is false.
pub type CelRule = (&'static str, &'static str);

/// A path match has one of two forms.
pub const PATH_ONE_OF: CelRule = (
    "has(self.prefix) != has(self.exact)",
    "exactly one of prefix or exact must be set, for example path: {prefix: /v1} or path: {exact: /v1/chat/completions}",
);
/// Paths are absolute and visible ASCII, without query, fragment, escapes, empty or dot segments: one spelling a path, so that a route
/// can't be passed by another.
pub const PATH_FORM: CelRule = (
    "(!has(self.prefix) || (self.prefix.matches('^/[!-~]*$') && !self.prefix.matches('[?#%]|//|/[.][.]?(/|$)'))) && \
     (!has(self.exact) || (self.exact.matches('^/[!-~]*$') && !self.exact.matches('[?#%]|//|/[.][.]?(/|$)')))",
    "a path must start with /, be visible ASCII and must not contain //, /./, /../, %, ? or #: write it as it appears in the request, such as /v1",
);
/// A model is an exact name or a prefix with one trailing star.
pub const MODEL_FORM: CelRule = (
    "self.all(m, m.matches('^([^*]+[*]?|[*])$'))",
    "a model is an exact name or a prefix with one trailing *, such as gpt-4o or gpt-4*",
);
/// Providers without a host of their own need a URL.
pub const URL_REQUIRED: CelRule = (
    "has(self.url) || !(self.provider in ['Custom', 'AzureOpenAI', 'AzureSpeech'])",
    "url is required for provider Custom, AzureOpenAI and AzureSpeech: set url: https://HOST",
);
/// Where requests and credentials go is protected by TLS unless the route says otherwise.
pub const PLAINTEXT: CelRule = (
    "!has(self.url) || self.url.startsWith('https://') || (self.url.startsWith('http://') && has(self.allowPlaintext) && self.allowPlaintext)",
    "url must be https://, or http:// together with allowPlaintext: true",
);
/// A URL is an origin with an optional path, and nothing that could hide a credential or another destination. The port is 1 to 65535.
pub const URL_FORM: CelRule = (
    "!has(self.url) || self.url.matches('^https?://([A-Za-z0-9._-]+|\\\\[[0-9A-Fa-f:.]+\\\\])\
     (:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?\
     (/[A-Za-z0-9._~!$&()*+,;=:%/-]*)?$')",
    "url must be scheme://host[:port][/path], without user, query or fragment; credentials belong in credential.secretRef",
);
/// A provider that asks for a key needs one.
pub const CREDENTIAL_REQUIRED: CelRule = (
    "has(self.credential) || self.provider == 'Custom'",
    "credential is required for this provider: set credential: {secretRef: {name: SECRET, key: KEY}}",
);
/// Only a custom upstream has no known header for its key.
pub const CREDENTIAL_HEADER: CelRule = (
    "self.provider != 'Custom' || !has(self.credential) || has(self.credential.header)",
    "provider Custom has no default header for the credential: set credential.header, such as authorization, and credential.scheme, such as Bearer",
);
/// Headers that frame or route a message can't carry a credential.
pub const CREDENTIAL_HEADER_NAME: CelRule = (
    "!has(self.header) || !(self.header.lowerAscii() in ['host', 'connection', 'content-length', 'transfer-encoding', 'te', 'trailer', \
     'upgrade', 'keep-alive', 'proxy-connection', 'expect', 'content-type', 'accept-encoding'])",
    "credential.header must not be a header that frames or routes the message: use authorization, x-api-key or the header that the provider documents",
);
/// The header of a backend's credential, in lower case; the list of defaults is that of the providers.
macro_rules! own_header {
    () => {
        "(has(self.credential) && has(self.credential.header) ? self.credential.header.lowerAscii() : {'OpenAI': 'authorization', \
         'SiliconFlow': 'authorization', 'Anthropic': 'x-api-key', 'AzureOpenAI': 'api-key', 'AzureSpeech': 'ocp-apim-subscription-key', \
         'Gemini': 'x-goog-api-key', 'ElevenLabs': 'xi-api-key', 'Custom': ''}[self.provider])"
    };
}
/// A header can't be set by the route and carry the credential as well.
pub const HEADER_OF_CREDENTIAL: CelRule = (
    concat!(
        "!has(self.headers) || ((!has(self.headers.set) || self.headers.set.all(h, h.name.lowerAscii() != ",
        own_header!(),
        ")) && (!has(self.headers.remove) || self.headers.remove.all(name, name.lowerAscii() != ",
        own_header!(),
        ")))"
    ),
    "headers must not name the header of the backend's credential: the relay sets it from credential.secretRef; remove it from headers",
);
/// A header's value is one line that every HTTP version carries unchanged.
pub const HEADER_VALUE: CelRule = (
    "self.value.matches('^[!-~]([ -~]*[!-~])?$')",
    "the value of a header must be visible ASCII, with spaces inside only, and no line break: write it as it stands in the header line",
);
/// Names of headers have no case.
pub const HEADERS_DISTINCT: CelRule = (
    "self.all(h, self.exists_one(other, other.name.lowerAscii() == h.name.lowerAscii()))",
    "a header is listed twice, and upper and lower case mean the same: keep one of the two",
);
/// What a route can see of a request: not the headers of one connection, nor the tenant's key, which would stand in the manifest.
pub const MATCH_HEADER: CelRule = (
    "self.all(h, !(h.name.lowerAscii() in ['host', 'connection', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade', \
     'keep-alive', 'proxy-connection', 'expect', 'authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'xi-api-key', \
     'ocp-apim-subscription-key', 'proxy-authorization', 'cookie']))",
    "a match can't name a header that frames the message or carries a key: use one that clients set for this, such as x-tier",
);
/// Headers that frame or route a message are the relay's own.
pub const HEADER_FRAMING: CelRule = (
    "(!has(self.set) || self.set.all(h, !(h.name.lowerAscii() in ['host', 'connection', 'content-length', 'transfer-encoding', 'te', \
     'trailer', 'upgrade', 'keep-alive', 'proxy-connection', 'expect', 'content-type', 'accept-encoding']))) && \
     (!has(self.remove) || self.remove.all(name, !(name.lowerAscii() in ['host', 'connection', 'content-length', 'transfer-encoding', 'te', \
     'trailer', 'upgrade', 'keep-alive', 'proxy-connection', 'expect', 'content-type', 'accept-encoding'])))",
    "headers must not name a header that frames or routes the message, such as host or content-length: remove it, the relay takes care of it",
);
/// A model is rewritten in one of two ways.
pub const MODEL_ONE_OF: CelRule = (
    "has(self.name) != has(self.map)",
    "exactly one of name or map must be set, for example model: {name: gpt-4o} or model: {map: {gpt-4o: my-deployment}}",
);
/// The key of a map of models, which a schema can't bound; told in status, not by the API server.
pub const MODEL_MAP_KEY: &str = "a key of model.map must be the whole name of a model, 1 to 256 characters without *: write map: {gpt-4o: my-deployment}";
/// Certificates belong to TLS.
pub const TLS_PLAINTEXT: CelRule = (
    "!has(self.tls) || !has(self.url) || !self.url.startsWith('http://')",
    "tls goes with an https:// url: use https:// or remove tls",
);
/// The form of [`PATH_FORM`].
pub const REWRITE_FORM: CelRule = (
    "self.prefix.matches('^/[!-~]*$') && !self.prefix.matches('[?#%]|//|/[.][.]?(/|$)')",
    "rewrite.prefix must start with /, be visible ASCII and must not contain //, /./, /../, %, ? or #: write it like /v1, or / to drop the matched prefix",
);
/// Only what was matched by its prefix has a rest that stays.
pub const REWRITE_MATCHES: CelRule = (
    "!has(self.rewrite) || self.matches.all(m, has(m.path.prefix))",
    "rewrite.prefix replaces a matched prefix: use path: {prefix: /v1} in all matches, or put the exact path into a route of its own",
);
/// Often enough to keep a connection alive, seldom enough to cost nothing.
pub const KEEP_ALIVE_BOUND: CelRule = (
    "duration(self.interval) >= duration('1s') && duration(self.interval) <= duration('1h')",
    "keepAlive.interval must be 1s to 1h: write it like 15s, or leave keepAlive out for none",
);
/// Gemini's SDK fails on comments.
pub const KEEP_ALIVE_GEMINI: CelRule = (
    "!has(self.keepAlive) || ((!has(self.format) || self.format != 'GeminiStream') && self.backends.all(b, b.provider != 'Gemini'))",
    "keepAlive sends comments, on which Gemini's SDK fails: remove keepAlive, or give Gemini a route of its own",
);
/// A second backend is needed to ask it.
pub const HEDGE_BACKENDS: CelRule = (
    "!has(self.hedge) || size(self.backends) >= 2",
    "hedge asks a second backend: add one to backends, or remove hedge",
);
/// Without a wait every request would be sent twice.
pub const HEDGE_AFTER: CelRule = (
    "duration(self.after) > duration('0s')",
    "hedge.after must be more than 0s: write it like 800ms, about the slowest usual time to the first byte",
);
/// Nobody waits for what is read then.
pub const DRAIN_LIMIT: CelRule = (
    "!has(self.limit) || (self.mode == 'Drain' && duration(self.limit) >= duration('1s') && duration(self.limit) <= duration('1h'))",
    "onClientGone.limit goes with mode: Drain and must be 1s to 1h: write onClientGone: {mode: Drain, limit: 30s}",
);
/// `from: Selector` and `selector` go together.
pub const CONSENT_SELECTOR: CelRule = (
    "(has(self.from) && self.from == 'Selector') == has(self.selector)",
    "selector goes with from: Selector and with nothing else: set both or neither",
);
/// A key is named by a Secret or by its digest.
pub const KEY_ONE_OF: CelRule = (
    "has(self.secretRef) != has(self.sha256)",
    "exactly one of secretRef or sha256 must be set: secretRef: {name: SECRET, key: KEY}, or sha256: the 64 hex digits of the key's SHA-256",
);
/// A limit is a rate or none at all.
pub const LIMIT_ONE_OF: CelRule =
    ("(has(self.unlimited) && self.unlimited) != has(self.amount)", "set either amount (with per), or unlimited: true");
/// An amount is per something, and a burst belongs to an amount.
pub const LIMIT_PER: CelRule = (
    "has(self.amount) == has(self.per) && (!has(self.burst) || has(self.amount))",
    "amount and per go together, burst goes with them: for example {amount: 100, per: Minute, burst: 20}",
);
/// What is not limited is not counted.
pub const TOKENS_COUNT: CelRule = (
    "!has(self.count) || has(self.amount)",
    "count goes with amount and per: for example {amount: 100000, per: Minute, count: Output}",
);
/// A running stream is a request that was counted already: the budget that it spent last would end it.
pub const BUDGET_STOP: CelRule = (
    "!has(self.atLimit) || self.atLimit != 'StopStreams' || self.unit != 'Requests'",
    "atLimit: StopStreams goes with unit Tokens or Characters, which running streams go on using: write atLimit: RefuseNew for Requests",
);
/// A time zone that the relay's database has not; told in status, not by the API server.
pub const TIME_ZONE: &str = "is not a time zone: write its IANA name, such as UTC or Europe/Berlin";
/// Durations are bounded, so that a typing error cannot hold a connection for days.
pub const DURATION_BOUND: CelRule =
    ("duration(self) <= duration('24h')", "a duration must not be longer than 24h: write it like 90s or 5m");
/// The largest request body that a route may allow, in bytes.
pub const BODY_MAX_BYTES: u64 = 1 << 30;
/// Bodies are bounded.
pub const BODY_BOUND: CelRule = (
    "quantity(string(self)).compareTo(quantity('1Gi')) <= 0 && quantity(string(self)).isGreaterThan(quantity('0'))",
    "body.max must be more than 0 and at most 1Gi: write it like 10Mi",
);
