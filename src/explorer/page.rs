//! A page that makes metamers.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::content::{Content, Original, Stage, embed, embed_compressed};
use super::sources;
use crate::display::{Raster, escape, fill_template};
use crate::fs::{assets, extension, files};
use crate::network::Network;
use crate::similarity::WELL_MATCHED_DB;
use crate::stimulus::{Image, Sound, StimulusKind};
use crate::synthesis::Recipe;
use crate::{Error, Result, zoo};

const PAGE: &str = include_str!("page/page.html");
const PANEL: &str = include_str!("page/panel.html");
const STYLE: &str = include_str!("page/page.css");
const WORKER: &str = include_str!("page/worker.js");
const SCRIPT: &str = concat!(
    "\n\"use strict\";\nconst ROOT = document;\n",
    include_str!("page/engine.js"),
    include_str!("page/stimulus.js"),
    include_str!("page/curve.js"),
    include_str!("page/synthesis.js"),
    include_str!("page/explorer.js"),
    include_str!("page/page.js"),
);

/// The originals of a page for images.
const PHOTOS: [&str; 8] =
    ["dog", "giant_panda", "tabby_cat", "scarlet_macaw", "dandelions", "eiffel_tower", "citrus_slices", "bucket"];
/// The originals of a page for words.
const WORDS: [&str; 8] = ["november", "seven", "hello", "tuesday", "alpha", "thirty", "password", "yesterday"];

/// The side of a thumbnail in pixels.
const THUMBNAIL: usize = 96;

/// A page that makes metamers of one network, made by [`Explorer::page`](super::Explorer::page).
///
/// The file has about 10 MB for words and 31 MB for images, most of it weights. It works from a disk, without a network connection.
#[must_use]
pub struct ExplorerPage {
    network: Network,
    /// The name for [`zoo::by_name`].
    key: String,
    title: String,
    /// Name and bytes of each original.
    originals: Vec<(String, Vec<u8>)>,
    stage: String,
    recipe: Recipe,
    seed: u64,
    snr_db: f64,
    for_server: bool,
}

impl ExplorerPage {
    pub(super) fn new(network: &Network) -> Result<Self> {
        let key = zoo::shipped_key(network)?;
        let kind = network.input().kind();
        let (folder, names, ending, preferred) = match kind {
            StimulusKind::Image => ("photos", PHOTOS, "jpg", "block5"),
            StimulusKind::Sound => ("speech", WORDS, "wav", "relu0"),
        };
        let stage = network.stages()[network.stages().len() / 2].name.clone();
        let page = Self {
            network: network.clone(),
            title: format!("Make a metamer: {}", network.name()),
            originals: vec![],
            stage: network.stage(preferred).map_or(stage, |stage| stage.name.clone()),
            recipe: Recipe::default_for(kind),
            seed: 0,
            snr_db: WELL_MATCHED_DB,
            for_server: false,
            key,
        };
        let paths = names.map(|name| assets::shipped(&format!("{folder}/{name}.{ending}")));
        page.originals(paths.into_iter().collect::<Result<Vec<_>>>()?)
    }

    /// Sets the title.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the originals that the page offers: files as [`Image::open`] or [`Sound::open`] take them.
    ///
    /// # Errors
    /// When a file cannot be opened, or there is none.
    pub fn originals<P: AsRef<Path>>(mut self, paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let open = |path: P| {
            let path = assets::find(path.as_ref())?;
            match self.network.input().kind() {
                StimulusKind::Image => Image::open(&path).map(drop)?,
                StimulusKind::Sound => Sound::open(&path).map(drop)?,
            }
            Ok((extension::stimulus_name(&path), files::read(&path)?))
        };
        let originals = paths.into_iter().map(open).collect::<Result<Vec<_>>>()?;
        if originals.is_empty() {
            return Err(Error::invalid("originals", "must be at least one"));
        }
        self.originals = originals;
        Ok(self)
    }

    /// Sets the stage with which the page opens.
    ///
    /// # Errors
    /// For an unknown stage.
    pub fn stage(mut self, stage: &str) -> Result<Self> {
        self.stage = self.network.stage(stage)?.name.clone();
        Ok(self)
    }

    /// Sets the recipe with which the page opens.
    ///
    /// # Errors
    /// For a recipe that is not an unchanged preset, because pages know recipes by name.
    pub fn recipe(mut self, recipe: Recipe) -> Result<Self> {
        if Recipe::by_name(&recipe.name)? != recipe {
            return Err(Error::invalid("recipe", "must be an unchanged preset, which a page knows by its name"));
        }
        self.recipe = recipe;
        Ok(self)
    }

    /// Sets the seed with which the page opens.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the signal-to-noise ratio in dB at which a synthesis ends; the default is 20, well matched. With [`Recipe::nearest`]
    /// it is held, and the synthesis ends when it settles.
    ///
    /// # Errors
    /// For a value outside 1 to 60 dB.
    pub fn until(mut self, snr_db: f64) -> Result<Self> {
        if !(1.0..=60.0).contains(&snr_db) {
            return Err(Error::invalid("until", format!("must be 1 to 60 dB, got {snr_db}")));
        }
        self.snr_db = snr_db;
        Ok(self)
    }

    /// Adds a module that computes on several cores (3.4 MB), for a page on a server. Browsers allow that only if the server sends the page over
    /// HTTPS with the headers `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`; otherwise, from a disk, and
    /// without relaxed SIMD, the page runs on one core. The metamers are the same.
    pub fn for_server(mut self) -> Self {
        self.for_server = true;
        self
    }

    /// Writes the page to an HTML file, atomically.
    ///
    /// # Errors
    /// [`Error::File`] for another extension than `.html`, when the WebAssembly module is missing, and when the file cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match extension::lowercase_extension(path).as_str() {
            "html" | "htm" => crate::fs::atomic::write(path, self.html()?.as_bytes()),
            _ => Err(Error::file(path, "a page that makes metamers is an .html file")),
        }
    }

    /// The page as HTML.
    ///
    /// # Errors
    /// When a shipped file is missing.
    pub fn html(&self) -> Result<String> {
        let kind = self.network.input().kind();
        let provided = self.provided();
        let mut embedded = String::new();
        let mut entries = sources::original_entries(&self.originals, self.network.input())?;
        for module in ["relaxed", "fixed", "threads"].into_iter().take(if self.for_server { 3 } else { 2 }) {
            let bytes = files::read(&assets::shipped(&format!("web/metamers-{module}.wasm.gz"))?)?;
            embedded += &embed_compressed(&format!("module-{module}"), &bytes);
        }
        for path in &provided {
            let bytes = files::read(&assets::shipped(path)?)?;
            embedded += &embed(&format!("assets/{path}"), &bytes)?;
            entries += &sources::file_entries(path, &bytes)?;
        }
        // The licence of the weights for images, and of crates in the program.
        entries += &sources::licence_text("Apache-2.0")?;
        let mut originals = vec![];
        for (index, (name, bytes)) in self.originals.iter().enumerate() {
            let file = format!("original-{index}");
            embedded += &embed(&file, bytes)?;
            let thumbnail = (kind == StimulusKind::Image).then(|| thumbnail(bytes)).transpose()?;
            originals.push(Original { name: name.replace('_', " "), file, thumbnail });
        }
        let content = Content {
            introduction: INTRODUCTION.into(),
            footer: format!(
                "Made with metamers {}. Nothing on this page leaves your machine.",
                env!("CARGO_PKG_VERSION")
            ),
            kind,
            network: self.key.clone(),
            stages: self
                .network
                .stages()
                .iter()
                .map(|s| Stage { name: s.name.clone(), shape: s.shape.clone() })
                .collect(),
            provided: provided.iter().map(|path| format!("assets/{path}")).collect(),
            originals,
            recipes: Recipe::presets_for(kind).into_iter().map(|recipe| recipe.name).collect(),
            stage: self.stage.clone(),
            recipe: self.recipe.name.clone(),
            seed: self.seed.to_string(),
            until: self.snr_db,
        };
        // In JSON, `<` occurs only in strings. Escaped, it cannot end the script or start a comment.
        let json = serde_json::to_string(&content).map_err(|e| Error::invalid("page", e.to_string()))?;
        let parts = [
            ("title", escape(&self.title)),
            ("style", STYLE.into()),
            ("panel", PANEL.replace(sources::MARK, &entries)),
            ("files", embedded),
            ("worker", WORKER.into()),
            ("content", json.replace('<', "\\u003c")),
            ("script_sha256", STANDARD.encode(Sha256::digest(SCRIPT))),
            ("script", SCRIPT.into()),
        ];
        Ok(fill_template(PAGE, &parts))
    }

    /// The paths, in the assets, of the files that the module reads.
    fn provided(&self) -> Vec<String> {
        let mut provided = vec![format!("networks/{}.safetensors", self.key)];
        if self.network.input().kind() == StimulusKind::Image {
            provided.push("networks/imagenet_classes.json".into());
        }
        let null = format!("nulls/{}.json", self.key);
        if assets::shipped(&null).is_ok() {
            provided.push(null);
        }
        provided
    }
}

const INTRODUCTION: &str = "A model metamer is made from noise until a stage of the network responds to it as to the original. What it may \
    differ in, the network does not see. Choose an original and a stage, and make one: it is computed here, in your browser.";

/// A small square picture of an image file, as a data URL.
fn thumbnail(bytes: &[u8]) -> Result<String> {
    let image = Image::from_bytes(bytes)?.resize_shorter_side(THUMBNAIL)?.center_crop(THUMBNAIL, THUMBNAIL)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(Raster::from(&image).png())))
}

impl std::fmt::Debug for ExplorerPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExplorerPage({}, {} originals)", self.network.name(), self.originals.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The list of sources in the page of a network; checks that it names the author and the licence of each original.
    fn checked_sources(network: &Network, list: &str, names: &[&str]) -> String {
        let html = ExplorerPage::new(network).unwrap().html().unwrap();
        let (_, list_and_rest) = html.split_once(r#"<details id="sources""#).unwrap();
        let (sources, _) = list_and_rest.split_once("</ul>").unwrap();
        let entries = files::read(&assets::shipped(list).unwrap()).unwrap();
        let entries: Vec<Value> = serde_json::from_slice(&entries).unwrap();
        for &name in names {
            let is_named = |entry: &&Value| entry["file"].as_str().unwrap().split('.').next() == Some(name);
            let entry = entries.iter().find(is_named).unwrap();
            let author = entry.get("author").or(entry.get("speaker")).and_then(Value::as_str).unwrap();
            let start = format!("<li>{}: {}; ", name.replace('_', " "), escape(author));
            let line = sources.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
            assert!(line.contains(entry["licence"].as_str().unwrap()), "{line}");
        }
        for part in ["symphonia", "MPL-2.0", "Inter", "OFL-1.1", "TERMS AND CONDITIONS FOR USE, REPRODUCTION"] {
            assert!(sources.contains(part), "{part}");
        }
        sources.into()
    }

    #[test]
    fn a_page_names_the_authors_and_licences_of_its_parts() {
        let network = zoo::efficientnet_lite0().unwrap();
        let sources = checked_sources(&network, "photos/photos.json", &PHOTOS);
        let weights = "Weights of EfficientNet-Lite0: Copyright (c) 2020, ML Illustrated";
        assert!(sources.contains(weights) && sources.contains("Illia Volkov"), "{sources}");
        let network = zoo::cochcnn_words().unwrap();
        let sources = checked_sources(&network, "speech/speech.json", &WORDS);
        assert!(sources.contains("Allison Smith") && sources.contains("CC-BY-SA-3.0"), "{sources}");
        assert!(sources.contains("Weights of CochCNN9: ") && sources.contains(">MIT</a> OR <a"), "{sources}");
    }
}
