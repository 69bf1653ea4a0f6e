//! The metadata of a metamer's output in a notebook: what an exported page needs to make the metamer anew.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::metamer::Metamer;
use super::recipe::Recipe;
use crate::display::{MimeBundle, Raster};
use crate::stimulus::Stimulus;

/// The key of the metadata; `cargo lab --export --live` reads it.
const KEY: &str = "metamers";

/// Adds the metadata to an output, if a page can make the metamer: from noise, by an unchanged preset, with one whole
/// stage as its only goal.
pub(super) fn annotated(bundle: MimeBundle, metamer: &Metamer) -> MimeBundle {
    match metadata(metamer) {
        Some(value) => bundle.with_metadata(KEY, value),
        None => bundle,
    }
}

fn metadata(metamer: &Metamer) -> Option<Value> {
    let provenance = metamer.provenance();
    let preset = Recipe::by_name(&provenance.recipe.name).ok()?;
    // Files of version 0.1 have its names.
    if (Recipe { name: provenance.recipe.name.clone(), ..preset.clone() }) != provenance.recipe
        || provenance.start != "noise"
        // Earlier copies called a given start "noise" if it had this name.
        || metamer.start.is_some()
        || !provenance.is_plain()
    {
        return None;
    }
    let (kind, original) = match metamer.original() {
        Stimulus::Image(image) => ("image", Raster::from(image).png()),
        Stimulus::Sound(sound) => ("sound", sound.to_wav16()),
    };
    Some(json!({
        "kind": kind,
        "network": provenance.network,
        "weights_sha256": provenance.weights_sha256,
        "stage": provenance.stage,
        "recipe": preset.name,
        // A string, because JavaScript's numbers cannot represent 64-bit integers.
        "seed": provenance.seed.to_string(),
        "name": provenance.original,
        "original": STANDARD.encode(original),
    }))
}
