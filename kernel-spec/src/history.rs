//! What was typed.

use jupyter_protocol::HistoryRequest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The environment variable that names another file, or says `off`: nothing of earlier sessions is kept then.
pub const FILE_VAR: &str = "METAMERS_HISTORY";
/// How many inputs the file keeps.
const KEPT: usize = 5000;

/// An input, with its number in the session in which it was typed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Input(usize, usize, String);

/// The inputs of this session, and of earlier ones.
#[derive(Debug, Default)]
pub struct History {
    inputs: Vec<Input>,
    session: usize,
    file: Option<File>,
}

impl History {
    /// The history of a project, kept in this folder if nothing else is said.
    pub fn open(folder: &Path) -> History {
        let path = match std::env::var_os(FILE_VAR) {
            Some(name) if name == "off" => return History { session: 1, ..History::default() },
            Some(name) if !name.is_empty() => PathBuf::from(name),
            _ => folder.join("history.jsonl"),
        };
        History::of(&path)
    }

    fn of(path: &Path) -> History {
        let text = fs::read_to_string(path).unwrap_or_default();
        // A line that was cut off, by a full disk for example, costs that line alone.
        let mut inputs: Vec<Input> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if inputs.len() > KEPT {
            inputs.drain(..inputs.len() - KEPT);
            let lines: String =
                inputs.iter().filter_map(|input| serde_json::to_string(input).ok()).map(|line| line + "\n").collect();
            let part = path.with_extension(format!("{}.part", std::process::id()));
            let _ = fs::write(&part, lines).and_then(|()| fs::rename(&part, path));
        }
        let session = inputs.iter().map(|input| input.0).max().unwrap_or(0) + 1;
        let _ = path.parent().map(fs::create_dir_all);
        // Where nothing can be written, the session has its own inputs all the same.
        let file = File::options().create(true).append(true).open(path).ok();
        History { inputs, session, file }
    }

    /// Remembers an input.
    pub fn push(&mut self, number: usize, code: &str) {
        let input = Input(self.session, number, code.to_owned());
        if let (Some(file), Ok(line)) = (&mut self.file, serde_json::to_string(&input)) {
            // In one piece, for another kernel may write at the same time.
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
        self.inputs.push(input);
    }

    /// Answers a request: triples of session, number and input.
    pub fn answer(&self, request: &HistoryRequest) -> Value {
        let count = |n: i32| usize::try_from(n).unwrap_or(usize::MAX);
        let (entries, output) = match request {
            HistoryRequest::Tail { n, output, .. } => (last(self.inputs.iter().collect(), count(*n)), *output),
            HistoryRequest::Range { session, start, stop, output, .. } => {
                let session = self.session(session.unwrap_or(0));
                let within = |number: &usize| *number >= count(*start) && *number < count(*stop);
                (
                    self.inputs.iter().filter(|Input(of, number, _)| Some(*of) == session && within(number)).collect(),
                    *output,
                )
            }
            HistoryRequest::Search { pattern, unique, n, output, .. } => {
                let mut found: Vec<&Input> = Vec::new();
                for entry in self.inputs.iter().filter(|input| matches(pattern, &input.2)) {
                    if *unique {
                        found.retain(|input| input.2 != entry.2);
                    }
                    found.push(entry);
                }
                (last(found, count(*n)), *output)
            }
        };
        let entry = |Input(session, number, code): &Input| {
            if output { json!([session, number, [code, null]]) } else { json!([session, number, code]) }
        };
        entries.into_iter().map(entry).collect()
    }

    /// The session that a request means: 0 is this one, -1 the one before it.
    fn session(&self, asked: i32) -> Option<usize> {
        if asked > 0 { usize::try_from(asked).ok() } else { self.session.checked_sub(asked.unsigned_abs() as usize) }
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

    fn filled(mut history: History) -> History {
        for (index, code) in ["let a = 1;", "a", "let b = 2;", "a"].iter().enumerate() {
            history.push(index + 1, code);
        }
        history
    }

    fn history() -> History {
        filled(History { session: 1, ..History::default() })
    }

    #[test]
    fn the_tail_is_the_last_inputs() {
        let tail = HistoryRequest::Tail { n: 2, output: false, raw: true };
        assert_eq!(history().answer(&tail), json!([[1, 3, "let b = 2;"], [1, 4, "a"]]));
    }

    #[test]
    fn a_range_excludes_its_end() {
        let range = HistoryRequest::Range { session: None, start: 1, stop: 2, output: true, raw: true };
        assert_eq!(history().answer(&range), json!([[1, 1, ["let a = 1;", null]]]));
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
        assert_eq!(history().answer(&search("a", true)), json!([[1, 4, "a"]]));
        assert_eq!(history().answer(&search("?", false)).as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_file_keeps_it_for_the_next_session() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/history.jsonl");
        drop(filled(History::of(&path)));
        let mut next = History::of(&path);
        next.push(1, "new");
        let tail = HistoryRequest::Tail { n: 2, output: false, raw: true };
        assert_eq!(next.answer(&tail), json!([[1, 4, "a"], [2, 1, "new"]]));
        let range =
            |session| HistoryRequest::Range { session: Some(session), start: 1, stop: 2, output: false, raw: true };
        assert_eq!(next.answer(&range(0)), json!([[2, 1, "new"]]));
        assert_eq!(next.answer(&range(-1)), json!([[1, 1, "let a = 1;"]]));
        assert_eq!(next.answer(&range(1)), next.answer(&range(-1)));
        assert_eq!(next.answer(&range(-7)), json!([]));
    }

    #[test]
    fn the_file_does_not_grow_without_end_and_a_broken_line_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let mut text: String = (0..KEPT + 10).map(|number| format!("[1,{number},\"code\"]\n")).collect();
        text += "[1,9";
        fs::write(&path, text).unwrap();
        drop(History::of(&path));
        let lines = fs::read_to_string(&path).unwrap();
        assert_eq!((lines.lines().count(), lines.lines().next()), (KEPT, Some("[1,10,\"code\"]")));
    }
}
