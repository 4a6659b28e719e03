//! Characters, as providers of speech bill them: by what was asked for, or by what the answer's head says.

use super::{Format, json};
use http::HeaderMap;

/// Where a format's count stands.
#[derive(Debug)]
pub(super) enum Characters {
    /// Nowhere: it bills none.
    Unbilled,
    /// In the request's body, which this counts; `None`: it is none that the format knows.
    Asked(fn(&[u8]) -> Option<u64>),
    /// In the answer's head; before, the request's body says about how many.
    Told {
        /// The header, a whole number.
        header: &'static str,
        /// Counts about as many in the body.
        about: fn(&[u8]) -> Option<u64>,
    },
}

/// The characters that a request's body, uncompressed, is billed for; `None` where the format does not tell them by it.
pub fn of_request(format: Format, body: &[u8]) -> Option<u64> {
    match format.rules().characters {
        Characters::Asked(count) => count(body),
        Characters::Unbilled | Characters::Told { .. } => None,
    }
}

/// The characters that a request's body, uncompressed, is going to be billed for, as far as it tells.
pub fn of_asked(format: Format, body: &[u8]) -> Option<u64> {
    match format.rules().characters {
        Characters::Asked(count) | Characters::Told { about: count, .. } => count(body),
        Characters::Unbilled => None,
    }
}

/// The characters that the head of an answer says are billed; `None` where it does not.
pub fn of_answer(format: Format, head: &HeaderMap) -> Option<u64> {
    match format.rules().characters {
        Characters::Told { header, .. } => json::number(head.get(header)?.as_bytes().trim_ascii()),
        Characters::Unbilled | Characters::Asked(_) => None,
    }
}

/// The code points of the top-level string `input` of a JSON object; of several the last, which is the one that parsers take.
pub(super) fn of_input(body: &[u8]) -> Option<u64> {
    of_member(body, "input")
}

/// Those of `text`.
pub(super) fn of_text(body: &[u8]) -> Option<u64> {
    of_member(body, "text")
}

fn of_member(body: &[u8], name: &str) -> Option<u64> {
    let (_, value) = json::members(body).filter(|(key, _)| json::is_named(key, name)).last()?;
    value.starts_with(b"\"").then(|| of_string(json::text(value)))
}

/// Code points of what stands between the quotes of a JSON string. Broken UTF-8 counts like the U+FFFD that decoders put in its place.
fn of_string(text: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(text);
    let mut rest = text.chars();
    let mut count = 0;
    while let Some(first) = rest.next() {
        count += 1;
        if first != '\\' || rest.next() != Some('u') {
            continue;
        }
        let Some((unit, behind)) = hex_unit(rest.as_str()) else { continue };
        rest = behind.chars();
        // RFC 8259, section 7: two escapes are one code point beyond U+FFFF.
        let low = behind.strip_prefix("\\u").and_then(hex_unit);
        if let (0xD800..=0xDBFF, Some((0xDC00..=0xDFFF, behind))) = (unit, low) {
            rest = behind.chars();
        }
    }
    count
}

fn hex_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, behind) = text.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten().map(|unit| (unit, behind))
}

/// The elements of SSML whose tags are not billed.
const UNBILLED: [&str; 2] = ["speak", "voice"];

/// Every code point of a text in SSML, markup and white space too, but for the tags of `speak` and `voice`; Han characters count twice. Broken UTF-8
/// counts like the U+FFFD that decoders put in its place. `None`: nothing was sent.
///
/// Source: Azure's "Text to speech", billable characters. Tags are told from comments, CDATA and instructions, which are text (XML 1.0, sections 2.5
/// to 2.7); no other part of XML is looked at, since an answer other than 2xx is not billed.
pub(super) fn of_ssml(body: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(body);
    let mut rest = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let mut count = 0;
    while let Some((before, markup)) = rest.find('<').and_then(|at| rest.split_at_checked(at)) {
        count += weight(before);
        // Markup without end is text to the last character: it is looked for once only.
        let Some((markup, behind)) = markup_end(markup).and_then(|end| markup.split_at_checked(end)) else {
            rest = markup;
            break;
        };
        if !is_unbilled(markup) {
            count += weight(markup);
        }
        rest = behind;
    }
    (!body.is_empty()).then(|| count + weight(rest))
}

/// How long the markup is that `text` begins with.
fn markup_end(text: &str) -> Option<usize> {
    for (begin, end) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")] {
        if let Some(inner) = text.strip_prefix(begin) {
            return Some(begin.len() + inner.find(end)? + end.len());
        }
    }
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(begun), byte) if begun == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Whether it is a tag of an element that is not billed. XML tells upper from lower case; an upstream that does not, means the same tags.
fn is_unbilled(tag: &str) -> bool {
    let name = tag.strip_prefix('<').unwrap_or(tag);
    let name = name.strip_prefix('/').unwrap_or(name);
    let end = name.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'));
    let name = end.and_then(|end| name.get(..end)).unwrap_or(name);
    UNBILLED.iter().any(|unbilled| name.eq_ignore_ascii_case(unbilled))
}

fn weight(text: &str) -> u64 {
    text.chars().map(|c| if is_han(c) { 2 } else { 1 }).sum()
}

/// Characters of the script Han: `Scripts.txt` of Unicode 16.0, in order.
const HAN: [(u32, u32); 22] = [
    // Radicals.
    (0x2E80, 0x2E99),
    (0x2E9B, 0x2EF3),
    (0x2F00, 0x2FD5),
    // Iteration mark, zero, numerals of Suzhou.
    (0x3005, 0x3005),
    (0x3007, 0x3007),
    (0x3021, 0x3029),
    (0x3038, 0x303B),
    // CJK Unified Ideographs: extension A, and the first block.
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    // Compatibility ideographs.
    (0xF900, 0xFA6D),
    (0xFA70, 0xFAD9),
    // Marks of Vietnamese and of old Chinese.
    (0x16FE2, 0x16FE3),
    (0x16FF0, 0x16FF1),
    // Extensions B, C, D, E, F and I.
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B739),
    (0x2B740, 0x2B81D),
    (0x2B820, 0x2CEA1),
    (0x2CEB0, 0x2EBE0),
    (0x2EBF0, 0x2EE5D),
    // Compatibility ideographs.
    (0x2F800, 0x2FA1D),
    // Extensions G and H.
    (0x30000, 0x3134A),
    (0x31350, 0x323AF),
];

fn is_han(c: char) -> bool {
    let c = u32::from(c);
    let behind = HAN.partition_point(|(first, _)| *first <= c);
    behind.checked_sub(1).and_then(|at| HAN.get(at)).is_some_and(|(_, last)| c <= *last)
}
