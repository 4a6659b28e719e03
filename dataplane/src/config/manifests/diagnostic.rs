//! What is wrong with a manifest, printed as a compiler does.
//!
//! ```text
//! error: spec.backends[0].url: url must be https://, or http:// together with allowPlaintext: true
//!   --> deploy/quickstart/route.yaml:14:10
//!    |
//! 14 |     url: http://provider.test
//!    |          ^
//!    = RelayRoute team-a/openai
//! ```

use std::fmt;
use std::path::PathBuf;

/// Whether a set with this fault is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No: the proxy does not start with it, and a running one keeps what it has.
    Error,
    /// Yes: an object that it names is not ready, or something was skipped.
    Warning,
}

impl Severity {
    /// The word in front of the message.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One fault: what, where, in which object. No part of a Secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was found: the folder's path as given, and the rest.
    pub file: PathBuf,
    /// Line from 1; 0 where the file or folder as a whole is meant.
    pub line: usize,
    /// Column from 1, in characters; 0 with line 0.
    pub column: usize,
    /// Kind, namespace and name; empty where no object could be made out.
    pub object: String,
    /// The field at fault, such as `spec.backends[0].url`; empty where it is none.
    pub field: String,
    /// What is wrong and what cures it.
    pub message: String,
    /// The line of the file; `None` where a Secret could stand in it.
    pub source_line: Option<String>,
}

/// More of a line is not shown.
const WIDTH: usize = 120;

impl Diagnostic {
    /// The order in which people read: by place.
    pub(super) fn place(&self) -> (&PathBuf, usize, usize) {
        (&self.file, self.line, self.column)
    }

    fn write_source(&self, f: &mut fmt::Formatter<'_>, source: &str) -> fmt::Result {
        let margin = " ".repeat(self.line.to_string().len());
        // Around the column, so that a one-line JSON file is shown too.
        let skip = self.column.saturating_sub(WIDTH / 2).min(source.chars().count().saturating_sub(WIDTH));
        let mut shown: String = if skip > 0 { "…".into() } else { String::new() };
        let caret = self.column.saturating_sub(skip) + usize::from(skip > 0);
        // Tabs and control characters would move the caret or the terminal.
        shown.extend(source.chars().skip(skip).take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }));
        if source.chars().count() > skip + WIDTH {
            shown.push('…');
        }
        writeln!(f, "\n{margin} |")?;
        writeln!(f, "{} | {}", self.line, shown.trim_end())?;
        write!(f, "{margin} | {}^", " ".repeat(caret.saturating_sub(1)))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity.name())?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        let margin = " ".repeat(if self.line == 0 { 1 } else { self.line.to_string().len() });
        write!(f, "{}\n{margin}--> {}", self.message, self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if let Some(source) = self.source_line.as_deref().filter(|_| self.line > 0) {
            self.write_source(f, source)?;
        }
        if !self.object.is_empty() {
            write!(f, "\n{margin} = {}", self.object)?;
        }
        Ok(())
    }
}

/// Nobody reads more at once.
const RENDERED_MAX: usize = 100;

/// The first 100 of them with an empty line between, errors before warnings, and their number at the end.
pub fn render(diagnostics: &[Diagnostic]) -> String {
    use fmt::Write as _;
    let mut text = String::new();
    let of = |severity| diagnostics.iter().filter(move |diagnostic| diagnostic.severity == severity);
    for diagnostic in of(Severity::Error).chain(of(Severity::Warning)).take(RENDERED_MAX) {
        // Writing to a String does not fail.
        _ = write!(text, "{diagnostic}\n\n");
    }
    if diagnostics.len() > RENDERED_MAX {
        _ = write!(text, "and {} more\n\n", diagnostics.len() - RENDERED_MAX);
    }
    _ = write!(text, "{}", count(diagnostics));
    text
}

/// Such as `2 errors, 1 warning`.
pub(super) fn count(diagnostics: &[Diagnostic]) -> String {
    let of = |severity: Severity| {
        let number = diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        format!("{number} {}{}", severity.name(), if number == 1 { "" } else { "s" })
    };
    format!("{}, {}", of(Severity::Error), of(Severity::Warning))
}

#[cfg(test)]
#[path = "diagnostic_tests.rs"]
mod tests;
