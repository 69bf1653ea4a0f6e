//! Reading and writing answers.

use std::path::{Path, PathBuf};

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Answer, Answers, Block, Participant};
use crate::fs::extension::{is_hidden, lowercase_extension};
use crate::fs::files;
use crate::{Error, Result};

const FORMAT: &str = "metamers-answers";
const VERSION: u32 = 1;
/// Maximum file size in bytes.
const MAX_FILE_BYTES: u64 = 200_000_000;
/// Maximum number of files that an error lists.
const MAX_LISTED_FILES: usize = 10;
/// The bytes that spreadsheets and editors of Windows put before the text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    version: u32,
    #[serde(flatten)]
    person: Participant,
}

/// A JSON file with one participant, as saved by the page, or a list of participants.
#[derive(Deserialize)]
#[serde(untagged)]
enum JsonFile {
    Many(Vec<serde_json::Value>),
    One(serde_json::Value),
}

/// A line of a CSV file.
#[derive(Deserialize)]
struct Line {
    session: String,
    participant: String,
    task: String,
    kind: String,
    choices: usize,
    #[serde(deserialize_with = "bool_in_any_case")]
    simulated: bool,
    block: Block,
    trial: usize,
    stimulus: String,
    condition: String,
    condition_index: Option<usize>,
    right: String,
    answer: Option<String>,
    response_ms: Option<f64>,
    shown_ms: Option<f64>,
    frame_ms: Option<f64>,
    longest_frame_ms: Option<f64>,
    #[serde(deserialize_with = "bool_in_any_case")]
    interrupted: bool,
}

/// Excel saves `true` as `TRUE`.
fn bool_in_any_case<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(D::Error::invalid_value(Unexpected::Str(&text), &"true or false")),
    }
}

impl Answers {
    /// Opens a file from the page or [`Answers::save`]: `.json`, or `.csv` with any number of concatenated sessions.
    ///
    /// # Errors
    /// [`Error::File`] for a missing file, another extension, invalid content, and a duplicate stimulus in a session; the message
    /// names the reason, and for CSV the line. [`Error::Invalid`] for sessions with different numbers of choices or kinds of stimuli,
    /// and for two sessions of one participant, as in [`Answers::merge`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let wrong = |reason: String| Error::file(path, reason);
        let length = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
        if length > MAX_FILE_BYTES {
            return Err(wrong(format!("has {length} bytes; the maximum for answers is {MAX_FILE_BYTES}")));
        }
        let bytes = files::read(path)?;
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
        let people = match lowercase_extension(path).as_str() {
            "json" => from_json(text),
            "csv" => from_csv(text),
            _ => Err("answers have the extension .json or .csv".into()),
        };
        let people = people.and_then(|people| match people.iter().find_map(|person| person.check().err()) {
            Some(reason) => Err(reason),
            None => Ok(people),
        });
        Self::from_people(people.map_err(wrong)?)
    }

    /// Opens all `.json` and `.csv` files of a folder and merges them; a session in both formats is kept once. Files whose names begin
    /// with a dot are left out: macOS writes such ones to disks of other systems.
    ///
    /// # Errors
    /// [`Error::File`] for a folder without such files, for files that [`Answers::open`] cannot read, and for sessions that
    /// [`Answers::merge`] refuses: it names all of these files (at most ten) with the reasons.
    pub fn open_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
        let files: std::io::Result<Vec<PathBuf>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut files = files.map_err(|e| Error::io(folder, e))?;
        files.retain(|file| matches!(lowercase_extension(file).as_str(), "json" | "csv") && !is_hidden(file));
        files.sort();
        if files.is_empty() {
            return Err(Error::file(folder, "has no .json or .csv file of answers"));
        }
        let (mut opened, mut unreadable) = (vec![], vec![]);
        for file in &files {
            match Self::open(file) {
                Ok(answers) => opened.push((file, answers)),
                Err(e) => unreadable.push((file, e)),
            }
        }
        if !unreadable.is_empty() {
            let count = format!("{} of {} files of answers", unreadable.len(), files.len());
            let heading = format!("{count} cannot be read; repair or remove them:");
            return Err(Error::file(folder, with_reasons(&heading, &unreadable)));
        }
        let (mut all, mut refused) = (Self::default(), vec![]);
        for (file, answers) in opened {
            let people = answers.people.into_iter();
            refused.extend(people.filter_map(|person| all.add(person).err()).map(|e| (file, e)));
        }
        match refused.is_empty() {
            true => Ok(all),
            false => Err(Error::file(folder, with_reasons("sessions conflict with those of earlier files:", &refused))),
        }
    }

    /// Saves the answers to a `.json` file for [`Answers::open`]. The write is atomic.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, or if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if lowercase_extension(path) != "json" {
            return Err(Error::file(path, "answers are saved as .json; use that extension"));
        }
        let file = |person: &Participant| File { format: FORMAT.into(), version: VERSION, person: person.clone() };
        let files: Vec<File> = self.people.iter().map(file).collect();
        let text = serde_json::to_string_pretty(&files).map_err(|e| Error::file(path, e))?;
        crate::fs::atomic::write(path, text.as_bytes())
    }
}

/// The reason of an error about files of a folder: a heading, their names, and what is wrong with each.
fn with_reasons(heading: &str, files: &[(&PathBuf, Error)]) -> String {
    let mut reason = heading.to_owned();
    for (file, error) in files.iter().take(MAX_LISTED_FILES) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        reason += &match error {
            Error::File { reason: own, .. } => format!("\n{name}: {own}"),
            other => format!("\n{name}: {other}"),
        };
    }
    if let Some(rest) = files.len().checked_sub(MAX_LISTED_FILES).filter(|rest| *rest > 0) {
        reason += &format!("\nand {rest} more");
    }
    reason
}

pub(super) fn from_json(bytes: &[u8]) -> std::result::Result<Vec<Participant>, String> {
    let files: JsonFile = serde_json::from_slice(bytes).map_err(|e| format!("is not valid JSON ({e})"))?;
    let files = match files {
        JsonFile::Many(files) => files,
        JsonFile::One(file) => vec![file],
    };
    files
        .into_iter()
        .map(|file| {
            if file["format"] != FORMAT || file["version"] != VERSION {
                return Err(format!(
                    "is not a file of answers; expected \"format\": \"{FORMAT}\", \"version\": {VERSION}"
                ));
            }
            let file: File = serde_json::from_value(file).map_err(|e| format!("has invalid answers ({e})"))?;
            Ok(file.person)
        })
        .collect()
}

fn from_csv(bytes: &[u8]) -> std::result::Result<Vec<Participant>, String> {
    let mut people: Vec<Participant> = vec![];
    // The csv crate's line number is off by one with CRLF line ends, which the page writes.
    let wrong = |index: usize, e: csv::Error| match e.kind() {
        csv::ErrorKind::Deserialize { err, .. } => {
            format!("is not a valid CSV file of answers (line {}: {err})", index + 2)
        }
        _ => format!("is not a valid CSV file of answers ({e})"),
    };
    for (index, line) in csv::Reader::from_reader(bytes).deserialize().enumerate() {
        let line: Line = line.map_err(|e| wrong(index, e))?;
        let answer = Answer {
            block: line.block,
            trial: line.trial,
            stimulus: unescape_formula(line.stimulus),
            condition: unescape_formula(line.condition),
            condition_index: line.condition_index,
            correct_answer: unescape_formula(line.right),
            answer: line.answer.map(unescape_formula),
            response_ms: line.response_ms,
            shown_ms: line.shown_ms,
            frame_ms: line.frame_ms,
            longest_frame_ms: line.longest_frame_ms,
            interrupted: line.interrupted,
        };
        match people.iter_mut().find(|person| person.session == line.session) {
            Some(person) => person.answers.push(answer),
            None => people.push(Participant {
                session: line.session,
                participant: unescape_formula(line.participant),
                task: line.task,
                kind: line.kind,
                choices: line.choices,
                simulated: line.simulated,
                answers: vec![answer],
            }),
        }
    }
    Ok(people)
}

/// Removes the `'` that the page puts before a text that a spreadsheet would take for a formula.
fn unescape_formula(text: String) -> String {
    let escaped = text.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
    escaped.map(str::to_owned).unwrap_or(text)
}
