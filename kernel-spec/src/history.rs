//! Input history, for `history_request`.

use crate::platform::open_private;
use jupyter_protocol::HistoryRequest;
use metamers_lab::platform::real_path;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Environment variable with the path of the history file, or `off` to keep no file.
pub const FILE_VAR: &str = "METAMERS_HISTORY";
/// Number of inputs that are kept. The file is shortened to it when it has twice as many.
const MAX_INPUTS: usize = 5000;

/// Session number, execution count and code of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Input(usize, usize, String);

/// The inputs of this session and of earlier ones.
#[derive(Debug, Default)]
pub struct History {
    inputs: Vec<Input>,
    session: usize,
    /// Opened for each input, because another kernel may replace the file by a shorter one.
    file: Option<PathBuf>,
}

impl History {
    /// Opens the file named by [`FILE_VAR`], by default `history.jsonl` in this directory.
    #[must_use]
    pub fn open(dir: &Path) -> History {
        let path = match std::env::var_os(FILE_VAR) {
            Some(name) if name == "off" => return History { session: 1, ..History::default() },
            Some(name) if !name.is_empty() => PathBuf::from(name),
            _ => dir.join("history.jsonl"),
        };
        History::from_file(&path)
    }

    fn from_file(path: &Path) -> History {
        // Skips invalid lines, such as one cut off by a full disk, which may end within a character.
        let bytes = fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut inputs: Vec<Input> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        // A link stays a link.
        let path = real_path(path).unwrap_or_else(|_| path.to_owned());
        let is_long = inputs.len() > 2 * MAX_INPUTS;
        inputs.drain(..inputs.len().saturating_sub(MAX_INPUTS));
        if is_long {
            let lines: String =
                inputs.iter().filter_map(|input| serde_json::to_string(input).ok()).map(|line| line + "\n").collect();
            let part = path.with_extension(format!("{}.part", std::process::id()));
            // Inputs may contain secrets.
            let written = open_private(File::options().create(true).truncate(true).write(true), &part)
                .and_then(|mut file| file.write_all(lines.as_bytes()));
            let _ = written.and_then(|()| fs::rename(&part, &path));
        }
        let session = inputs.iter().map(|input| input.0).max().unwrap_or(0) + 1;
        let _ = path.parent().map(fs::create_dir_all);
        History { inputs, session, file: Some(path) }
    }

    /// Adds an input.
    pub fn push(&mut self, number: usize, code: &str) {
        let input = Input(self.session, number, code.to_owned());
        if let (Some(path), Ok(line)) = (&self.file, serde_json::to_string(&input)) {
            // Without a writable file the history covers this session only.
            let file = open_private(File::options().create(true).append(true), path);
            // One write call, because another kernel may append at the same time.
            let _ = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        }
        self.inputs.push(input);
    }

    /// The entries that match a request, as triples of session, execution count and input.
    #[must_use]
    pub fn find(&self, request: &HistoryRequest) -> Value {
        let count = |n: i32| usize::try_from(n).unwrap_or(usize::MAX);
        let (entries, output) = match request {
            HistoryRequest::Tail { n, output, .. } => (last(self.inputs.iter().collect(), count(*n)), *output),
            HistoryRequest::Range { session, start, stop, output, .. } => {
                let session = self.resolve_session(session.unwrap_or(0));
                let within = |number: &usize| *number >= count(*start) && *number < count(*stop);
                (
                    self.inputs
                        .iter()
                        .filter(|Input(entry, number, _)| Some(*entry) == session && within(number))
                        .collect(),
                    *output,
                )
            }
            HistoryRequest::Search { pattern, unique, n, output, .. } => {
                let mut found: Vec<&Input> = Vec::new();
                for entry in self.inputs.iter().filter(|input| glob_matches(pattern, &input.2)) {
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

    /// Resolves a session number: 0 is the current session, -1 the one before it.
    fn resolve_session(&self, session: i32) -> Option<usize> {
        if session > 0 {
            usize::try_from(session).ok()
        } else {
            self.session.checked_sub(session.unsigned_abs() as usize)
        }
    }
}

fn last<T>(mut entries: Vec<T>, n: usize) -> Vec<T> {
    entries.split_off(entries.len().saturating_sub(n))
}

/// True if the text matches a pattern with the wildcards `*` and `?`.
fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Positions of the latest `*` and of the end of the text that it matches so far.
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|&wanted| wanted == '?' || wanted == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            star = Some((star_p, star_t + 1));
            p = star_p + 1;
            t = star_t + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&rest| rest == '*')
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
        assert_eq!(history().find(&tail), json!([[1, 3, "let b = 2;"], [1, 4, "a"]]));
    }

    #[test]
    fn a_range_excludes_its_end() {
        let range = HistoryRequest::Range { session: None, start: 1, stop: 2, output: true, raw: true };
        assert_eq!(history().find(&range), json!([[1, 1, ["let a = 1;", null]]]));
    }

    #[test]
    fn a_search_supports_wildcards_and_unique() {
        let search = |pattern: &str, unique| HistoryRequest::Search {
            pattern: pattern.into(),
            unique,
            output: false,
            raw: true,
            n: 10,
        };
        assert_eq!(history().find(&search("let*", false)).as_array().unwrap().len(), 2);
        assert_eq!(history().find(&search("a", true)), json!([[1, 4, "a"]]));
        assert_eq!(history().find(&search("?", false)).as_array().unwrap().len(), 2);
    }

    #[test]
    fn the_file_carries_inputs_to_the_next_session() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/history.jsonl");
        drop(filled(History::from_file(&path)));
        let mut next = History::from_file(&path);
        next.push(1, "new");
        let tail = HistoryRequest::Tail { n: 2, output: false, raw: true };
        assert_eq!(next.find(&tail), json!([[1, 4, "a"], [2, 1, "new"]]));
        let range =
            |session| HistoryRequest::Range { session: Some(session), start: 1, stop: 2, output: false, raw: true };
        assert_eq!(next.find(&range(0)), json!([[2, 1, "new"]]));
        assert_eq!(next.find(&range(-1)), json!([[1, 1, "let a = 1;"]]));
        assert_eq!(next.find(&range(1)), next.find(&range(-1)));
        assert_eq!(next.find(&range(-7)), json!([]));
    }

    #[test]
    fn invalid_utf8_loses_one_input_at_most() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        fs::write(&path, b"[1,1,\"before\"]\n[1,2,\"cut \xc3\n[1,3,\"after\"]\n").unwrap();
        let tail = HistoryRequest::Tail { n: 9, output: false, raw: true };
        assert_eq!(History::from_file(&path).find(&tail), json!([[1, 1, "before"], [1, 3, "after"]]));
    }

    #[test]
    fn the_file_is_bounded_and_invalid_lines_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let text =
            |count: usize| (0..count).map(|number| format!("[1,{number},\"code\"]\n")).collect::<String>() + "[1,9";
        fs::write(&path, text(2 * MAX_INPUTS)).unwrap();
        let mut earlier = History::from_file(&path);
        assert_eq!(earlier.inputs.len(), MAX_INPUTS);
        assert_eq!(fs::read_to_string(&path).unwrap(), text(2 * MAX_INPUTS), "shortened too often");
        fs::write(&path, text(2 * MAX_INPUTS + 1)).unwrap();
        drop(History::from_file(&path));
        let lines = fs::read_to_string(&path).unwrap();
        let first = format!("[1,{},\"code\"]", MAX_INPUTS + 1);
        assert_eq!((lines.lines().count(), lines.lines().next()), (MAX_INPUTS, Some(first.as_str())));
        // A kernel that has opened the longer file writes to the shorter one.
        earlier.push(1, "new");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{lines}[2,1,\"new\"]\n"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (link, path) = (dir.path().join("link.jsonl"), dir.path().join("history.jsonl"));
        std::os::unix::fs::symlink("history.jsonl", &link).unwrap();
        History::from_file(&link).push(1, "first");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[1,1,\"first\"]\n");
        fs::write(&path, "[1,1,\"code\"]\n".repeat(2 * MAX_INPUTS + 1)).unwrap();
        drop(History::from_file(&link));
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), MAX_INPUTS);
    }
}
