//! What was typed.

use jupyter_protocol::HistoryRequest;
use serde_json::{Value, json};

/// The inputs of this session, each with its number.
#[derive(Debug, Default)]
pub struct History(Vec<(usize, String)>);

impl History {
    /// Remembers an input.
    pub fn push(&mut self, number: usize, code: &str) {
        self.0.push((number, code.to_owned()));
    }

    /// Answers a request: triples of session, number and input.
    pub fn answer(&self, request: &HistoryRequest) -> Value {
        let count = |n: i32| usize::try_from(n).unwrap_or(usize::MAX);
        let (entries, output) = match request {
            HistoryRequest::Tail { n, output, .. } => (last(self.0.iter().collect(), count(*n)), *output),
            HistoryRequest::Range { session, start, stop, output, .. } => {
                let own = session.is_none_or(|session| session == 0);
                let within = |number: &usize| *number >= count(*start) && *number < count(*stop);
                (self.0.iter().filter(|(number, _)| own && within(number)).collect(), *output)
            }
            HistoryRequest::Search { pattern, unique, n, output, .. } => {
                let mut found: Vec<&(usize, String)> = Vec::new();
                for entry in self.0.iter().filter(|(_, code)| matches(pattern, code)) {
                    if *unique {
                        found.retain(|(_, code)| *code != entry.1);
                    }
                    found.push(entry);
                }
                (last(found, count(*n)), *output)
            }
        };
        let entry = |(number, code): &(usize, String)| {
            if output { json!([0, number, [code, null]]) } else { json!([0, number, code]) }
        };
        entries.into_iter().map(entry).collect()
    }
}

fn last<T>(mut entries: Vec<T>, n: usize) -> Vec<T> {
    entries.split_off(entries.len().saturating_sub(n))
}

/// Whether a text is what a pattern with `*` and `?` describes.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < text.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, from));
            at += 1;
        } else if pattern.get(at).is_some_and(|&wanted| wanted == '?' || wanted == text[from]) {
            at += 1;
            from += 1;
        } else if let Some((back, begun)) = star {
            star = Some((back, begun + 1));
            at = back + 1;
            from = begun + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&left| left == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::default();
        for (index, code) in ["let a = 1;", "a", "let b = 2;", "a"].iter().enumerate() {
            history.push(index + 1, code);
        }
        history
    }

    #[test]
    fn the_tail_is_the_last_inputs() {
        let tail = HistoryRequest::Tail { n: 2, output: false, raw: true };
        assert_eq!(history().answer(&tail), json!([[0, 3, "let b = 2;"], [0, 4, "a"]]));
    }

    #[test]
    fn a_range_excludes_its_end() {
        let range = HistoryRequest::Range { session: None, start: 1, stop: 2, output: true, raw: true };
        assert_eq!(history().answer(&range), json!([[0, 1, ["let a = 1;", null]]]));
    }

    #[test]
    fn a_search_knows_stars_and_repeats() {
        let search = |pattern: &str, unique| HistoryRequest::Search {
            pattern: pattern.into(),
            unique,
            output: false,
            raw: true,
            n: 10,
        };
        assert_eq!(history().answer(&search("let*", false)).as_array().unwrap().len(), 2);
        assert_eq!(history().answer(&search("a", true)), json!([[0, 4, "a"]]));
        assert_eq!(history().answer(&search("?", false)).as_array().unwrap().len(), 2);
    }
}
