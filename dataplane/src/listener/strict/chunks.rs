//! The lines between the chunks of a body, and the trailers behind it (RFC 9112, section 7.1).

use super::fields::{field, is_no_trailer, is_text, without_cr};
use super::head::FIELDS_MAX;
use super::violation::Violation;
use memchr::memchr;

/// Most bytes of chunk extensions in one body. hyper's own bound is the same.
pub(super) const EXTENSIONS_MAX: usize = 16 * 1024;
/// Most bytes of trailers. hyper's own bound is the same.
pub(super) const TRAILERS_MAX: usize = 16 * 1024;
/// Most digits of a size: those of 64 bits.
const DIGITS_MAX: usize = 16;

/// A size line that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SizeLine {
    /// Bytes of the line with its CR LF.
    pub(super) line: usize,
    /// Bytes of data in the chunk.
    pub(super) data: u64,
    /// Bytes of its extensions.
    pub(super) extensions: usize,
}

/// The size line that `bytes` begin with; none if its end is not there yet. Extensions may have `room` bytes.
pub(super) fn size_line(bytes: &[u8], room: usize) -> Result<Option<SizeLine>, Violation> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    // Told as soon as it can be seen, so that nobody can dribble a size.
    let fits = digits <= DIGITS_MAX && (digits > 0 || bytes.is_empty());
    if !fits || !matches!(bytes.get(digits), None | Some(b';' | b'\r')) {
        return Err(Violation::Chunk);
    }
    let end = memchr(b'\n', bytes);
    // What is not whole may end in the CR of its CR LF.
    let extensions = end.unwrap_or(bytes.len()).saturating_sub(digits + 1);
    if extensions > room {
        return Err(Violation::Extensions);
    }
    let Some(end) = end else { return Ok(None) };
    let line = without_cr(&bytes[..end]).map_err(|_| Violation::Chunk)?;
    if !line[digits..].iter().all(|byte| is_text(*byte)) {
        return Err(Violation::Chunk);
    }
    let text = std::str::from_utf8(&line[..digits]).map_err(|_| Violation::Chunk)?;
    let data = i64::from_str_radix(text, 16).map_err(|_| Violation::Chunk)?.unsigned_abs();
    Ok(Some(SizeLine { line: end + 1, data, extensions }))
}

/// Trailers as far as they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trailers {
    /// Where the next line begins.
    at: usize,
    fields: usize,
}

impl Trailers {
    /// Reads on; `bytes` begin where the trailers do. How long they are with the empty line behind them; none if that is not there yet.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Violation> {
        loop {
            let end = memchr(b'\n', &bytes[self.at..]).map(|end| self.at + end);
            if end.unwrap_or(bytes.len()) >= TRAILERS_MAX {
                return Err(Violation::Trailers);
            }
            let Some(end) = end else { return Ok(None) };
            let line = without_cr(&bytes[self.at..end]).map_err(|_| Violation::Trailers)?;
            if line.is_empty() {
                return Ok(Some(end + 1));
            }
            let (name, _) = field(line).map_err(|_| Violation::Trailers)?;
            self.at = end + 1;
            self.fields += 1;
            if is_no_trailer(name) || self.fields > FIELDS_MAX {
                return Err(Violation::Trailers);
            }
        }
    }
}
