//! Reading answers from the files that the page saves, and writing them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Answer, Answers, Block, Person};
use crate::fs::extension::lowercase_extension;
use crate::{Error, Result};

const FORMAT: &str = "metamers-answers";
const VERSION: u32 = 1;
/// Larger files are no answers of people.
const LARGEST: u64 = 200_000_000;

#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    version: u32,
    #[serde(flatten)]
    person: Person,
}

/// One file holds one person, as the page saves it, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Files {
    Many(Vec<serde_json::Value>),
    One(serde_json::Value),
}

/// A line of the CSV file.
#[derive(Deserialize)]
struct Line {
    session: String,
    participant: String,
    task: String,
    kind: String,
    choices: usize,
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
    interrupted: bool,
}

impl Answers {
    /// Reads a file that the page or [`Answers::save`] has written: `.json`, or `.csv` of any number of sessions below each other.
    ///
    /// # Errors
    /// [`Error::File`] with the reason, and for CSV the line: no such file, another ending, no answers of this format, a stimulus twice in
    /// a session.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let wrong = |reason: String| Error::file(path, reason);
        let length = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
        if length > LARGEST {
            return Err(wrong(format!("has {length} bytes; answers have at most {LARGEST}")));
        }
        let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
        let people = match lowercase_extension(path).as_str() {
            "json" => from_json(&bytes),
            "csv" => from_csv(&bytes),
            _ => Err("answers are read from .json or .csv".into()),
        };
        let people = people.and_then(|people| match people.iter().find_map(|person| person.check().err()) {
            Some(reason) => Err(reason),
            None => Ok(people),
        });
        Self::from_people(people.map_err(wrong)?)
    }

    /// Reads all `.json` and `.csv` files of a folder; a session that is there as both is taken once.
    ///
    /// # Errors
    /// As [`Answers::open`] and [`Answers::and`], and when the folder holds no such file.
    pub fn open_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| matches!(lowercase_extension(file).as_str(), "json" | "csv"));
        files.sort();
        if files.is_empty() {
            return Err(Error::file(folder, "holds no .json and no .csv file of answers"));
        }
        files.iter().try_fold(Self::default(), |all, file| all.and(Self::open(file)?).map_err(|e| Error::file(file, e)))
    }

    /// Writes the answers to a `.json` file that [`Answers::open`] reads. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] for another ending, or when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if lowercase_extension(path) != "json" {
            return Err(Error::file(path, "answers are saved as .json"));
        }
        let file = |person: &Person| File { format: FORMAT.into(), version: VERSION, person: person.clone() };
        let files: Vec<File> = self.people.iter().map(file).collect();
        let text = serde_json::to_string_pretty(&files).map_err(|e| Error::file(path, e))?;
        crate::fs::atomic::write(path, text.as_bytes())
    }
}

pub(super) fn from_json(bytes: &[u8]) -> std::result::Result<Vec<Person>, String> {
    let files: Files = serde_json::from_slice(bytes).map_err(|e| format!("is no JSON that can be read ({e})"))?;
    let files = match files {
        Files::Many(files) => files,
        Files::One(file) => vec![file],
    };
    files
        .into_iter()
        .map(|file| {
            if file["format"] != FORMAT || file["version"] != VERSION {
                return Err(format!("is no answers: it should say \"format\": \"{FORMAT}\", \"version\": {VERSION}"));
            }
            let file: File = serde_json::from_value(file).map_err(|e| format!("holds damaged answers ({e})"))?;
            Ok(file.person)
        })
        .collect()
}

fn from_csv(bytes: &[u8]) -> std::result::Result<Vec<Person>, String> {
    // Spreadsheets put a byte-order mark before the first column's name.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut people: Vec<Person> = vec![];
    // csv's own count of lines is one short in files with Windows' line ends, which the page writes.
    let wrong = |index: usize, e: csv::Error| match e.kind() {
        csv::ErrorKind::Deserialize { err, .. } => format!("is no CSV of answers (line {}: {err})", index + 2),
        _ => format!("is no CSV of answers ({e})"),
    };
    for (index, line) in csv::Reader::from_reader(bytes).deserialize().enumerate() {
        let line: Line = line.map_err(|e| wrong(index, e))?;
        let answer = Answer {
            block: line.block,
            trial: line.trial,
            stimulus: line.stimulus,
            condition: line.condition,
            condition_index: line.condition_index,
            right: line.right,
            answer: line.answer,
            response_ms: line.response_ms,
            shown_ms: line.shown_ms,
            frame_ms: line.frame_ms,
            longest_frame_ms: line.longest_frame_ms,
            interrupted: line.interrupted,
        };
        match people.iter_mut().find(|person| person.session == line.session) {
            Some(person) => person.answers.push(answer),
            None => people.push(Person {
                session: line.session,
                participant: line.participant,
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
