//! Events that the supervisor sends to the kernel.
//!
//! evcxr passes every unknown stdout line to its host, immediately and in order. Events travel as such lines, prefixed with a key that
//! the evaluating process never sees, so that printed text cannot forge one.

use serde_json::Value;

/// Environment variable that carries the key to the supervisor.
pub const EVENT_KEY_VAR: &str = "METAMERS_EVENT_KEY";

/// An event in the evaluating process.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The cell has been built and starts to run.
    Started,
    /// The cell's code has returned.
    Completed,
    /// The cell was not run, because it was interrupted during the build.
    Skipped,
    /// Text printed to stdout.
    Stdout(String),
    /// Text printed to stderr.
    Stderr(String),
    /// The JSON of a live frame.
    Live(String),
    /// The cell panicked; holds the latest stderr text.
    Panicked(String),
    /// An error reached the cell's top level through `?`; holds the latest stderr text.
    Failed(String),
    /// The evaluating process ended; holds the reason.
    Exited(String),
}

impl Event {
    /// Encodes the event as one line, without the newline.
    #[must_use]
    pub fn encode(&self, key: &str) -> String {
        let (kind, text) = match self {
            Event::Started => ('r', None),
            Event::Completed => ('c', None),
            Event::Skipped => ('s', None),
            Event::Stdout(text) => ('o', Some(text)),
            Event::Stderr(text) => ('e', Some(text)),
            Event::Live(json) => return format!("{key} l {}", escape_markers(json)),
            Event::Panicked(text) => ('p', Some(text)),
            Event::Failed(text) => ('f', Some(text)),
            Event::Exited(text) => ('x', Some(text)),
        };
        match text {
            Some(text) => format!("{key} {kind} {}", escape_markers(&Value::from(text.as_str()).to_string())),
            None => format!("{key} {kind}"),
        }
    }

    /// Decodes a line; `None` if it is not an event with this key.
    #[must_use]
    pub fn decode(line: &str, key: &str) -> Option<Event> {
        let rest = line.strip_prefix(key)?.strip_prefix(' ')?;
        let (kind, payload) = rest.split_once(' ').unwrap_or((rest, ""));
        let text = || serde_json::from_str::<String>(payload).ok();
        Some(match kind {
            "r" => Event::Started,
            "c" => Event::Completed,
            "s" => Event::Skipped,
            "o" => Event::Stdout(text()?),
            "e" => Event::Stderr(text()?),
            "l" => Event::Live(payload.to_owned()),
            "p" => Event::Panicked(text()?),
            "f" => Event::Failed(text()?),
            "x" => Event::Exited(text()?),
            _ => return None,
        })
    }
}

/// Hides evcxr's markers, which it searches for anywhere in a line, behind a JSON escape.
fn escape_markers(json: &str) -> String {
    json.replace("EVCXR_", "\\u0045VCXR_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_round_trip() {
        let text = "two\nlines, \"quotes\" and EVCXR_BEGIN_CONTENT text/plain";
        for event in [
            Event::Started,
            Event::Completed,
            Event::Skipped,
            Event::Stdout(text.into()),
            Event::Stderr(text.into()),
            Event::Panicked(text.into()),
            Event::Failed(String::new()),
            Event::Exited("exit status 3".into()),
        ] {
            let line = event.encode("key");
            assert!(!line.contains('\n') && !line.contains("EVCXR_"), "{line}");
            assert_eq!(Event::decode(&line, "key"), Some(event));
        }
    }

    #[test]
    fn lines_with_another_key_are_not_events() {
        assert_eq!(Event::decode(&Event::Started.encode("one"), "two"), None);
        assert_eq!(Event::decode("key", "key"), None);
        assert_eq!(Event::decode("key o unquoted", "key"), None);
    }
}
