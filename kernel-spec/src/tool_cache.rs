//! What a tool answered, kept: asked the same again, it need not be started.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder of answers in a build folder.
pub const FOLDER: &str = "answers";
/// Stands for the build folder, which every kernel has at another place.
const HERE: &str = "{build folder}";

/// What a tool printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The exit status.
    pub status: i32,
    /// What was on stdout.
    pub stdout: String,
    /// What was on stderr.
    pub stderr: String,
}

impl Answer {
    /// Prints it; the exit status.
    pub fn give(&self) -> i32 {
        // Whoever asked may be gone.
        let _ = std::io::stdout().write_all(self.stdout.as_bytes());
        let _ = std::io::stderr().write_all(self.stderr.as_bytes());
        self.status
    }
}

/// The answers kept in one build folder.
pub struct Answers {
    build: PathBuf,
}

impl Answers {
    /// The answers of a build folder.
    pub fn of(build: &Path) -> Answers {
        Answers { build: build.to_owned() }
    }

    /// The file for something that is determined by these texts.
    pub fn file(&self, kind: &str, texts: &[&str]) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        texts.iter().for_each(|text| self.portable(text).hash(&mut hasher));
        self.build.join(FOLDER).join(format!("{kind}-{:016x}", hasher.finish()))
    }

    /// What was kept under this name.
    pub fn read<T: DeserializeOwned>(&self, file: &Path) -> Option<T> {
        let text = std::fs::read_to_string(file).ok()?;
        serde_json::from_str(&text.replace(HERE, &self.build.to_string_lossy())).ok()
    }

    /// Keeps an answer; without a place to keep it, it is asked for again next time.
    pub fn keep<T: Serialize>(&self, file: &Path, answer: &T) {
        let Ok(text) = serde_json::to_string(answer) else { return };
        // Two processes may keep the same answer at a time; a reader sees one whole.
        let part = file.with_extension(format!("{}.part", std::process::id()));
        let _ = std::fs::create_dir_all(self.build.join(FOLDER));
        if std::fs::write(&part, self.portable(&text)).is_ok() {
            let _ = std::fs::rename(&part, file);
        }
    }

    fn portable(&self, text: &str) -> String {
        text.replace(self.build.to_string_lossy().as_ref(), HERE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_kept_in_one_folder_is_right_in_another() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let (first, second) = (Answers::of(&one), Answers::of(&two));
        let asked = |build: &Path| format!("locate-project --manifest-path {}/Cargo.toml", build.display());
        let file = first.file("cargo", &[&asked(&one)]);
        assert_eq!(first.read::<Answer>(&file), None);
        let stdout = format!("{{\"root\":\"{}/Cargo.toml\"}}\n", one.display());
        first.keep(&file, &Answer { status: 0, stdout, stderr: String::new() });

        std::fs::create_dir_all(two.join(FOLDER)).unwrap();
        let copy = second.file("cargo", &[&asked(&two)]);
        std::fs::copy(&file, &copy).unwrap();
        let answer: Answer = second.read(&copy).unwrap();
        assert_eq!(answer.stdout, format!("{{\"root\":\"{}/Cargo.toml\"}}\n", two.display()));
        assert_ne!(second.file("cargo", &[&asked(&one)]), copy, "another question");
    }
}
