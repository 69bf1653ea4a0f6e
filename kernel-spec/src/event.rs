//! How the relay tells the kernel what happens in the process that runs the cells.
//!
//! evcxr hands every stdout line that it does not know to its host, at once and in order: the relay's messages travel as such lines,
//! behind a key that the evaluating process never sees.

use serde_json::Value;

/// The environment variable that carries the key to the relay.
pub const KEY_VAR: &str = "METAMERS_RELAY";

/// What the relay reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The cell is built and starts to run.
    Runs,
    /// The cell's run is over.
    Completed,
    /// The cell was not run, because an interrupt came while it was built.
    Skipped,
    /// Printed text.
    Stdout(String),
    /// Text on stderr.
    Stderr(String),
    /// The JSON of a live frame.
    Live(String),
    /// The cell panicked; what was last on stderr.
    Panicked(String),
    /// A `?` ended the cell; what was last on stderr.
    Failed(String),
    /// The process that runs the cells ended: how.
    Ended(String),
}

impl Event {
    /// The event as one line, without its newline.
    pub fn encode(&self, key: &str) -> String {
        let (kind, text) = match self {
            Event::Runs => ('r', None),
            Event::Completed => ('c', None),
            Event::Skipped => ('s', None),
            Event::Stdout(text) => ('o', Some(text)),
            Event::Stderr(text) => ('e', Some(text)),
            Event::Live(json) => return format!("{key} l {}", veiled(json)),
            Event::Panicked(text) => ('p', Some(text)),
            Event::Failed(text) => ('f', Some(text)),
            Event::Ended(text) => ('x', Some(text)),
        };
        match text {
            Some(text) => format!("{key} {kind} {}", veiled(&Value::from(text.as_str()).to_string())),
            None => format!("{key} {kind}"),
        }
    }

    /// Reads a line; none if it is not the relay's.
    pub fn decode(line: &str, key: &str) -> Option<Event> {
        let rest = line.strip_prefix(key)?.strip_prefix(' ')?;
        let (kind, payload) = rest.split_once(' ').unwrap_or((rest, ""));
        let text = || serde_json::from_str::<String>(payload).ok();
        Some(match kind {
            "r" => Event::Runs,
            "c" => Event::Completed,
            "s" => Event::Skipped,
            "o" => Event::Stdout(text()?),
            "e" => Event::Stderr(text()?),
            "l" => Event::Live(payload.to_owned()),
            "p" => Event::Panicked(text()?),
            "f" => Event::Failed(text()?),
            "x" => Event::Ended(text()?),
            _ => return None,
        })
    }
}

/// evcxr searches lines for its own markers: inside a JSON string an escape hides them.
fn veiled(json: &str) -> String {
    json.replace("EVCXR_", "\\u0045VCXR_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_comes_back_as_it_was() {
        let text = "two\nlines, \"quotes\" and EVCXR_BEGIN_CONTENT text/plain";
        for event in [
            Event::Runs,
            Event::Completed,
            Event::Skipped,
            Event::Stdout(text.into()),
            Event::Stderr(text.into()),
            Event::Panicked(text.into()),
            Event::Failed(String::new()),
            Event::Ended("exit status 3".into()),
        ] {
            let line = event.encode("key");
            assert!(!line.contains('\n') && !line.contains("EVCXR_"), "{line}");
            assert_eq!(Event::decode(&line, "key"), Some(event));
        }
    }

    #[test]
    fn another_key_is_not_believed() {
        assert_eq!(Event::decode(&Event::Runs.encode("one"), "two"), None);
        assert_eq!(Event::decode("key", "key"), None);
        assert_eq!(Event::decode("key o unquoted", "key"), None);
    }
}
