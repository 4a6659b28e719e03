//! Finds the top-level `model` of a JSON object as its bytes come in, to the end of the object: a second one would make the first a lie.
//!
//! Not a validator: what is no JSON has no model, and the provider says what is wrong with it.

use std::ops::Range;

/// The longest name that is looked at.
const LONGEST: usize = 256;

/// Reads a JSON text byte by byte. Nested values are skipped, whatever they contain.
#[derive(Debug, Default)]
pub(super) struct ModelScanner {
    depth: u32,
    place: Place,
    escaped: bool,
    text: Vec<u8>,
    overlong: bool,
    is_model: bool,
    /// How many members are called `model`.
    models: u32,
    found: Option<String>,
    /// Bytes that were taken before this one.
    at: usize,
    /// Where the string value of the member `model` stands, with its quotes.
    place_of_model: Option<Range<usize>>,
    begun: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the object, or between its members.
    #[default]
    Key,
    /// In a key of the outermost object.
    InKey,
    /// Behind a key.
    Colon,
    /// Before or in a value of the outermost object, nested ones included.
    Value,
    /// In a string value.
    InString,
}

/// What is known after a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// Nothing yet.
    More,
    /// The object is over, and has this model.
    Found(String),
    /// The object names its model twice: parsers do not agree which one counts.
    Twice,
    /// The text has no model.
    Without,
}

impl ModelScanner {
    /// Takes the next piece, up to the end of the object. After anything but [`Scanned::More`] there is nothing left to learn.
    pub(super) fn push(&mut self, piece: &[u8]) -> Scanned {
        for byte in piece {
            let scanned = match self.place {
                Place::InKey | Place::InString => self.in_text(*byte),
                Place::Key | Place::Colon | Place::Value => self.between(*byte),
            };
            self.at += 1;
            if scanned != Scanned::More {
                return scanned;
            }
        }
        Scanned::More
    }

    /// Where the value of the object's member `model` stands, with its quotes, in all that was pushed; `None` where it is no string.
    pub(super) fn place_of_model(&self) -> Option<Range<usize>> {
        self.place_of_model.clone()
    }

    fn between(&mut self, byte: u8) -> Scanned {
        match (self.place, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => {}
            (Place::Key, b'{') if self.depth == 0 => self.depth = 1,
            (Place::Key, b',') if self.depth == 1 => {}
            (Place::Key, b'"') if self.depth == 1 => self.begin(Place::InKey),
            (Place::Colon, b':') => self.place = Place::Value,
            (Place::Value, b'"') => self.begin(Place::InString),
            (Place::Value, b'{' | b'[') => self.depth += 1,
            (Place::Value, b'}' | b']') if self.depth > 1 => {
                self.depth -= 1;
                self.is_model = false;
            }
            (Place::Value, b',') if self.depth == 1 => self.place = Place::Key,
            (Place::Value, _) if self.depth > 1 => {}
            // Numbers and words of the outermost object.
            (Place::Value, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.') => self.is_model = false,
            // The end of the object, or no JSON object at all.
            _ => return self.found.take().map_or(Scanned::Without, Scanned::Found),
        }
        Scanned::More
    }

    fn begin(&mut self, place: Place) {
        self.place = place;
        self.begun = self.at;
        self.text.clear();
        self.overlong = false;
        self.escaped = false;
    }

    fn in_text(&mut self, byte: u8) -> Scanned {
        let ends = byte == b'"' && !self.escaped;
        self.escaped = byte == b'\\' && !self.escaped;
        if !ends {
            self.overlong |= self.text.len() == LONGEST;
            if !self.overlong {
                self.text.push(byte);
            }
            return Scanned::More;
        }
        if self.place == Place::InKey {
            self.is_model = self.unescaped().as_deref() == Some("model");
            self.models += u32::from(self.is_model);
            self.place = Place::Colon;
            return if self.models > 1 { Scanned::Twice } else { Scanned::More };
        }
        self.place = Place::Value;
        if self.depth == 1 && self.is_model {
            self.found = self.unescaped();
            self.place_of_model = Some(self.begun..self.at + 1);
        }
        Scanned::More
    }

    fn unescaped(&self) -> Option<String> {
        if self.overlong {
            return None;
        }
        let quoted = [b"\"", self.text.as_slice(), b"\""].concat();
        serde_json::from_slice(&quoted).ok()
    }
}
