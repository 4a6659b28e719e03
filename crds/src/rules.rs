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
    "has(self.url) || !(self.provider in ['Custom', 'AzureSpeech'])",
    "url is required for provider Custom and AzureSpeech: set url: https://HOST",
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
/// Timeouts are bounded, so that a typing error cannot hold a connection for days.
pub const DURATION_BOUND: CelRule = (
    "duration(self) <= duration('24h')",
    "a duration must not be longer than 24h: write it like 90s or 5m; 0s switches the timeout off",
);
/// The largest request body that a route may allow, in bytes.
pub const BODY_MAX_BYTES: u64 = 1 << 30;
/// Bodies are bounded.
pub const BODY_BOUND: CelRule = (
    "quantity(string(self)).compareTo(quantity('1Gi')) <= 0 && quantity(string(self)).isGreaterThan(quantity('0'))",
    "body.max must be more than 0 and at most 1Gi: write it like 10Mi",
);
