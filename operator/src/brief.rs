//! Errors in one line, for logs and conditions, without what could be secret.

use std::error::Error;

/// An error of the API server or of the way to it. Statuses are told by code, reason and message; kube's own text repeats them as a struct. Of an
/// answer that is not readable only the place is told: the parser's message could quote a Secret.
pub fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}: {}", status.code, status.reason, status.message),
        kube::Error::SerdeError(error) => {
            format!("the answer is not readable at line {}, column {}", error.line(), error.column())
        }
        other => chain(other),
    }
}

/// An error and its causes. HTTP clients say `client error (Connect)` and keep why to the cause.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
