//! Where a metamer comes from.

use serde::{Deserialize, Serialize};

use super::recipe::Recipe;
use super::synthesis::Synthesis;
use crate::display::{MimeBundle, Show};
use crate::engine::Isa;
use crate::network::Network;

/// candle does not tell its version; Cargo.toml pins it, and a test compares.
pub(crate) const CANDLE: &str = "0.11.1";

/// Everything that is needed to make a metamer again; kept in its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The network's name.
    pub network: String,
    /// SHA-256 of its weights' file.
    pub weights_sha256: String,
    /// The matched stage.
    pub stage: String,
    /// The original's name.
    pub original: String,
    /// What the synthesis started from: "noise", or the name of a picture.
    pub start: String,
    /// The recipe, in full.
    pub recipe: Recipe,
    /// The seed.
    pub seed: u64,
    /// Version of metamers.
    pub metamers: String,
    /// Version of candle, which computes below.
    pub candle: String,
    /// Operating system and processor architecture; always the CPU.
    pub device: String,
    /// The processor's instruction set, which decides the last bits; empty in files from before it was kept.
    #[serde(default)]
    pub instructions: String,
}

impl Provenance {
    pub(super) fn of(plan: &Synthesis) -> Self {
        Self {
            network: plan.network.name().into(),
            weights_sha256: plan.network.weights_source().weights_sha256.clone(),
            stage: plan.stage.clone(),
            original: plan.original.name().into(),
            start: plan.start.as_ref().map_or("noise", |start| start.name()).into(),
            recipe: plan.recipe.clone(),
            seed: plan.seed,
            metamers: env!("CARGO_PKG_VERSION").into(),
            candle: CANDLE.into(),
            device: format!("CPU, {} {}", std::env::consts::OS, std::env::consts::ARCH),
            instructions: Isa::best().to_string(),
        }
    }

    /// Versions and machine in a line.
    pub(super) fn made_by(&self) -> String {
        let comma = if self.instructions.is_empty() { "" } else { ", " };
        let Self { metamers, candle, device, instructions, .. } = self;
        format!("metamers {metamers} with candle {candle} on {device}{comma}{instructions}")
    }

    /// What is wrong, when this is not the network that is stamped.
    pub(super) fn check(&self, network: &Network) -> std::result::Result<(), String> {
        let weights = &network.weights_source().weights_sha256;
        if *weights == self.weights_sha256 && network.name() == self.network {
            return Ok(());
        }
        let (was, made_with) = (&self.network, &self.weights_sha256);
        let is = network.name();
        Err(format!(
            "was made with {was} of weights {made_with}, and this is {is} of weights {weights}; give the network that made it"
        ))
    }
}

impl std::fmt::Display for Provenance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "network   {} (weights SHA-256 {})", self.network, self.weights_sha256)?;
        writeln!(f, "stage     {}", self.stage)?;
        writeln!(f, "original  {}", self.original)?;
        writeln!(f, "start     {}, seed {}", self.start, self.seed)?;
        writeln!(f, "recipe    {}, {} steps at most", self.recipe.name, self.recipe.steps)?;
        write!(f, "made by   {}", self.made_by())
    }
}

impl Show for Provenance {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![MimeBundle::text(self.to_string())]
    }
}

crate::show_in_notebooks!(Provenance);

#[cfg(test)]
mod tests {
    #[test]
    fn the_stamped_version_of_candle_is_the_pinned_one() {
        let manifest = include_str!("../../Cargo.toml");
        assert!(manifest.contains(&format!("candle-core = \"={}\"", super::CANDLE)));
    }
}
