//! The input of the page's script and the files in the page.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::stimulus::StimulusKind;
use crate::{Error, Result};

/// The length of a chunk of a file in the page, in characters: short enough that handing one over takes a few milliseconds.
const CHUNK: usize = 1 << 18;

/// The input of the page's script; the scripts in `page/` use these names.
#[derive(Serialize)]
pub(super) struct Content {
    pub introduction: String,
    pub footer: String,
    pub kind: StimulusKind,
    /// The name for [`zoo::by_name`](crate::zoo::by_name).
    pub network: String,
    pub stages: Vec<Stage>,
    /// The paths of the files that the module reads.
    pub provided: Vec<String>,
    pub originals: Vec<Original>,
    pub recipes: Vec<String>,
    /// The settings with which the page opens.
    pub stage: String,
    pub recipe: String,
    /// A string, because JavaScript's numbers cannot represent 64-bit integers.
    pub seed: String,
    /// The signal-to-noise ratio in dB at which a synthesis ends.
    pub until: f64,
}

#[derive(Serialize)]
pub(super) struct Stage {
    pub name: String,
    pub shape: Vec<usize>,
}

#[derive(Serialize)]
pub(super) struct Original {
    pub name: String,
    /// The file's name in the page.
    pub file: String,
    /// A small picture as a data URL; `None` for sounds.
    pub thumbnail: Option<String>,
}

/// Formats a file as script elements that no browser runs: Base64 in chunks, compressed if that makes it smaller.
pub(super) fn embed(name: &str, bytes: &[u8]) -> Result<String> {
    let failed = |e: std::io::Error| Error::invalid("page", format!("{name} cannot be compressed ({e})"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).map_err(failed)?;
    let compressed = gzip.finish().map_err(failed)?;
    match compressed.len() < bytes.len() {
        true => Ok(embed_compressed(name, &compressed)),
        false => Ok(elements(name, bytes, "no")),
    }
}

/// Formats a file that is already compressed by gzip.
pub(super) fn embed_compressed(name: &str, bytes: &[u8]) -> String {
    elements(name, bytes, "yes")
}

fn elements(name: &str, bytes: &[u8], gzip: &str) -> String {
    let text = STANDARD.encode(bytes);
    let name = crate::display::escape(name);
    let chunks = text.as_bytes().chunks(CHUNK).map(String::from_utf8_lossy);
    chunks
        .map(|c| format!("<script type=\"text/plain\" data-file=\"{name}\" data-gzip=\"{gzip}\">{c}</script>\n"))
        .collect()
}
