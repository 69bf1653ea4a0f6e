//! The experiment as one page of HTML.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Item, Timing};
use crate::display::{Raster, escape};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = concat!(
    include_str!("page/random.js"),
    include_str!("page/present.js"),
    include_str!("page/choose.js"),
    include_str!("page/record.js"),
    include_str!("page/screens.js"),
    include_str!("page/page.js"),
);

/// What the page's script reads; `page/record.js` and `page/page.js` use these names.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Content {
    /// Tells this experiment from others in the answers and in a browser's storage.
    pub fingerprint: String,
    pub title: String,
    pub kind: &'static str,
    pub choices: Vec<String>,
    pub typed: bool,
    pub conditions: Vec<String>,
    pub consent: String,
    pub instructions: String,
    pub participant_code: bool,
    pub timing: Timing,
    /// As text: JavaScript's numbers hold no 64-bit integers.
    pub seed: String,
    pub practice_pass: usize,
    pub stimuli: Vec<Shown>,
    pub practice: Vec<Single>,
    pub catch_trials: Vec<Single>,
}

/// A stimulus with its versions.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Shown {
    pub id: String,
    pub answer: String,
    pub versions: Vec<Version>,
}

/// A stimulus under one condition.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Version {
    /// Its index among the conditions.
    pub condition: usize,
    pub source: String,
}

/// A stimulus of the practice block or a catch trial.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Single {
    pub id: String,
    pub answer: String,
    pub source: String,
}

impl Single {
    pub fn of(item: &Item) -> Self {
        Self { id: item.id.clone(), answer: item.answer.clone(), source: source(&item.stimulus) }
    }
}

impl Content {
    /// How much of the page the stimuli take: nearly all of it.
    pub fn stimuli_bytes(&self) -> usize {
        let versions = self.stimuli.iter().flat_map(|shown| &shown.versions).map(|version| version.source.len());
        let single = self.practice.iter().chain(&self.catch_trials).map(|item| item.source.len());
        versions.chain(single).sum()
    }

    /// The page, and its content with the fingerprint filled in.
    pub fn page(mut self) -> Result<(String, Self)> {
        let json = |content: &Self| {
            serde_json::to_string(content)
                .map_err(|e| Error::invalid("task", format!("cannot be written as JSON ({e})")))
        };
        self.fingerprint = crate::fs::sha256::hex_digest(json(&self)?.as_bytes())[..12].into();
        // A `<` is found in JSON's texts only: written like this, none of them ends the script or begins a comment.
        let task = json(&self)?.replace('<', "\\u003c");
        let parts =
            [("title", escape(&self.title)), ("style", STYLE.into()), ("script", SCRIPT.into()), ("task", task)];
        Ok((filled(PAGE, &parts), self))
    }
}

/// `template` with each `{{name}}` replaced; what is put in is not looked through again.
fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut pieces = template.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or(("", piece));
        page += parts.iter().find(|part| part.0 == name).map_or("", |part| &part.1);
        page += rest;
    }
    page
}

/// A stimulus as an address that holds it: PNG of 8 bits a channel, or WAV of 16-bit samples at the level that it has.
pub(super) fn source(stimulus: &Stimulus) -> String {
    let (kind, bytes) = match stimulus {
        Stimulus::Image(image) => ("image/png", Raster::from(image).png()),
        Stimulus::Sound(sound) => ("audio/wav", sound.to_wav16()),
    };
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}
