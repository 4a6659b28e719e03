//! Weighs the prompt in a request's body as its bytes go by.
//!
//! | body | weight |
//! |---|---|
//! | JSON, by its type or its first character | all strings that are values; keys, numbers and punctuation weigh nothing |
//! | a string of more than 1 KiB in base64, with or without `data:…,` before it | 1,000 tokens, whatever it shows: what an image or a page costs |
//! | `multipart/form-data`, audio, images, video, `application/octet-stream` | 1,000 tokens: files, of which nobody can tell |
//! | anything else, and what is compressed | as text that is not looked into |
//!
//! Nothing is kept but a few counts, whatever the body's length.

use super::weight::{Weight, of_escape};
use memchr::{memchr, memchr2};

/// A shorter string in base64 is weighed as the text that it may be, in bytes.
const SHORT: usize = 1024;
/// What a file in base64 weighs.
const FILE: Weight = Weight::of_tokens(1_000);
/// What stands before the data of a URL may be so long, in bytes.
const LONGEST_HEAD: usize = 128;
/// So many bytes are looked at at once.
const LOOKED_AT_ONCE: usize = 64;
/// The longest escape, in bytes.
const ESCAPE: usize = 6;

/// How a body is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// As JSON.
    Json,
    /// As text, of which only the length counts.
    Text,
    /// Not at all.
    File,
}

impl Content {
    /// By the value of `content-type`; that of a compressed body is not what it says.
    pub fn of(content_type: &[u8], is_compressed: bool) -> Self {
        const FILES: [&[u8]; 5] = [b"multipart/", b"audio/", b"image/", b"video/", b"application/octet-stream"];
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let essence = essence.to_ascii_lowercase();
        if FILES.iter().any(|file| essence.starts_with(file)) {
            Self::File
        } else if !is_compressed && (essence == b"application/json" || essence.ends_with(b"+json")) {
            Self::Json
        } else {
            Self::Text
        }
    }
}

/// Weighs a body that comes in pieces; cuts between them change nothing.
#[derive(Clone, Debug)]
pub struct Prompt {
    content: Content,
    /// Nothing came yet.
    is_fresh: bool,
    weight: Weight,
    place: Place,
    string: Text,
}

/// Where a JSON text was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Between strings.
    #[default]
    Outside,
    /// Behind a string, which is a key if a colon follows.
    Behind,
    /// In a string.
    Inside,
    /// In an escape, of which so many bytes came.
    Escape(usize, [u8; ESCAPE]),
}

/// What came of a string.
#[derive(Clone, Copy, Debug, Default)]
struct Text {
    weight: Weight,
    length: usize,
    looks: Looks,
}

/// What a string looks like so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Looks {
    /// The first so many characters of `data:`, and nothing more.
    #[default]
    Fresh,
    /// What stands before the data of a URL.
    Head,
    Base64,
    Other,
}

impl Prompt {
    /// Of a body of this type.
    pub fn new(content: Content) -> Self {
        Self { content, is_fresh: true, weight: Weight::NONE, place: Place::Outside, string: Text::default() }
    }

    /// Of a whole body.
    pub fn of(content: Content, body: &[u8]) -> Weight {
        let mut prompt = Self::new(content);
        prompt.push(body);
        prompt.weight()
    }

    /// What was pushed up to here weighs so much. A string counts from its end on.
    pub const fn weight(&self) -> Weight {
        self.weight
    }

    /// The next piece.
    pub fn push(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        if std::mem::take(&mut self.is_fresh) {
            // Providers take JSON for what it is, whatever its client calls it.
            let is_json = matches!(piece.trim_ascii_start().first(), Some(b'{' | b'['));
            match self.content {
                Content::Text if is_json => self.content = Content::Json,
                Content::File => self.weight = FILE,
                Content::Json | Content::Text => {}
            }
        }
        match self.content {
            Content::Json => self.push_json(piece),
            Content::Text => self.weight += Weight::of_bytes(piece.len() as u64),
            Content::File => {}
        }
    }

    fn push_json(&mut self, mut piece: &[u8]) {
        while let Some(first) = piece.first() {
            let taken = match self.place {
                Place::Outside => self.outside(piece),
                Place::Behind => self.behind(*first),
                Place::Inside => self.inside(piece),
                Place::Escape(have, bytes) => self.escape(have, bytes, *first),
            };
            piece = piece.get(taken..).unwrap_or_default();
        }
    }

    fn outside(&mut self, piece: &[u8]) -> usize {
        let Some(at) = memchr(b'"', piece) else { return piece.len() };
        self.place = Place::Inside;
        self.string = Text::default();
        at + 1
    }

    fn behind(&mut self, byte: u8) -> usize {
        if byte.is_ascii_whitespace() {
            return 1;
        }
        if byte != b':' {
            self.weight += self.string.weighed();
        }
        self.place = Place::Outside;
        0
    }

    fn inside(&mut self, piece: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let rest = &piece[at..];
            let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            self.string.push(&rest[..end]);
            at += end;
            match (rest.get(end), rest.get(end..end + ESCAPE)) {
                (None, _) => return at,
                (Some(b'"'), _) => {
                    self.place = Place::Behind;
                    return at + 1;
                }
                (Some(_), Some(escape)) => {
                    let (weight, length) = of_escape(escape);
                    self.string.push_escape(weight, &escape[..length]);
                    at += length;
                }
                (Some(_), None) => {
                    self.place = Place::Escape(1, [b'\\'; ESCAPE]);
                    return at + 1;
                }
            }
        }
    }

    fn escape(&mut self, have: usize, mut bytes: [u8; ESCAPE], byte: u8) -> usize {
        bytes[have] = byte;
        let have = have + 1;
        let (weight, length) = of_escape(&bytes[..have]);
        self.place = if have < length { Place::Escape(have, bytes) } else { Place::Inside };
        if have == length {
            self.string.push_escape(weight, &bytes[..have]);
        }
        1
    }
}

impl Text {
    fn push(&mut self, piece: &[u8]) {
        self.weight += Weight::of_text(piece);
        self.look(piece);
        self.length += piece.len();
    }

    fn push_escape(&mut self, weight: Weight, escape: &[u8]) {
        self.weight += weight;
        self.looks = match (self.looks, escape) {
            // Encoders may escape the slash of base64, or break its lines.
            (Looks::Fresh | Looks::Base64, b"\\/" | b"\\n" | b"\\r") => Looks::Base64,
            (Looks::Head, b"\\/") => Looks::Head,
            _ => Looks::Other,
        };
        self.length += escape.len();
    }

    fn look(&mut self, mut piece: &[u8]) {
        const SCHEME: &[u8] = b"data:";
        let mut at = self.length;
        if self.looks == Looks::Fresh {
            let expected = SCHEME.get(at..).unwrap_or_default();
            let count = expected.len().min(piece.len());
            if piece[..count] != expected[..count] {
                // The beginning of the word is no less base64 than what follows.
                self.looks = Looks::Base64;
            } else if count == expected.len() {
                self.looks = Looks::Head;
                piece = &piece[count..];
                at += count;
            }
        }
        if self.looks == Looks::Head {
            let room = LONGEST_HEAD.saturating_sub(at);
            match memchr(b',', &piece[..piece.len().min(room)]) {
                Some(comma) => {
                    self.looks = Looks::Base64;
                    piece = &piece[comma + 1..];
                }
                None if piece.len() >= room => self.looks = Looks::Other,
                None => {}
            }
        }
        // Without a way out in between, so that many bytes are looked at at once.
        let is_data = |bytes: &[u8]| bytes.iter().fold(true, |all, byte| all & is_base64(*byte));
        if self.looks == Looks::Base64 && !piece.chunks(LOOKED_AT_ONCE).all(is_data) {
            self.looks = Looks::Other;
        }
    }

    const fn weighed(&self) -> Weight {
        if self.length > SHORT && matches!(self.looks, Looks::Base64) { FILE } else { self.weight }
    }
}

/// RFC 4648, sections 4 and 5.
const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}
