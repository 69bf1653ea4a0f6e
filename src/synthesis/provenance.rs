//! The provenance of a metamer.

use serde::{Deserialize, Serialize};

use candle_core::DeviceLocation;

use super::execution::Execution;
use super::goal::{Bound, Goal, Match, Penalty, Region, Target};
use super::recipe::Recipe;
use super::synthesis::Synthesis;
use crate::display::{MimeBundle, Show};
use crate::engine::Isa;
use crate::network::Network;
use crate::stimulus::Stimulus;

/// The version of candle, which candle does not export; a test compares it with Cargo.toml.
pub(crate) const CANDLE_VERSION: &str = "0.11.1";

/// The provenance of a metamer: everything needed to reproduce it. It is saved with the metamer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Provenance {
    /// The network's name.
    pub network: String,
    /// SHA-256 of the network's weights.
    pub weights_sha256: String,
    /// The matched stage; for anything else than one whole stage, [`Provenance::matched`] as text.
    pub stage: String,
    /// The original's name.
    pub original: String,
    /// The start of the synthesis: "noise" for the recipe's own, or the name of a stimulus.
    pub start: String,
    /// The recipe.
    pub recipe: Recipe,
    /// The seed.
    pub seed: u64,
    /// The version of metamers.
    pub metamers: String,
    /// The version of candle.
    pub candle: String,
    /// The device, operating system and architecture.
    pub device: String,
    /// The instruction set of the processor, which affects the last bits of results; empty in older files.
    #[serde(default)]
    pub instructions: String,
    /// Versions and machines that made earlier parts of a run, if it went on elsewhere, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun_by: Vec<String>,
    /// The match; `None` for one whole stage of weight 1, which `stage` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<Match>,
    /// Set for a match with regions, whose units are those of the rule that [`Region`] states. Files of earlier versions lack it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) states_region_rule: bool,
    /// The penalties on the stimulus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub penalties: Vec<Penalty>,
    /// The bound on the distance from a stimulus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// The number of coarse levels of a run from coarse to fine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse_to_fine: Option<usize>,
    /// The names of the user's own functions and of penalties in another network's features, which a file cannot hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
}

impl Provenance {
    pub(super) fn new(synthesis: &Synthesis) -> Self {
        let goal = &synthesis.goal;
        let mut provenance = Self {
            network: synthesis.network.name().into(),
            weights_sha256: synthesis.network.weights_source().weights_sha256.clone(),
            stage: goal.matched.to_string(),
            original: synthesis.original.name().into(),
            start: match synthesis.start.as_ref().map(Stimulus::name) {
                None => "noise".into(),
                // Not the recipe's noise, which the seed reproduces.
                Some("noise") => "noise (given)".into(),
                Some(name) => name.into(),
            },
            recipe: synthesis.recipe.clone(),
            seed: synthesis.seed,
            metamers: env!("CARGO_PKG_VERSION").into(),
            candle: CANDLE_VERSION.into(),
            device: format!("{}, {} {}", device(synthesis), operating_system(), std::env::consts::ARCH),
            instructions: Isa::describe_selected(),
            begun_by: synthesis.begun_by.clone(),
            matched: (!goal.matched.is_plain()).then(|| goal.matched.clone()),
            states_region_rule: goal.matched.parts().iter().any(|target| target.region.is_some()),
            penalties: goal.penalties.clone(),
            bound: goal.bound.clone(),
            coarse_to_fine: goal.coarse_to_fine,
            functions: goal.functions(),
        };
        if let Some(before) = &synthesis.last_made_by
            && *before != provenance.made_by()
            && provenance.begun_by.last() != Some(before)
        {
            provenance.begun_by.push(before.clone());
        }
        provenance
    }

    /// What is matched.
    pub(crate) fn matched_or_stage(&self) -> Match {
        match &self.matched {
            None => self.stage.as_str().into(),
            Some(matched) if self.states_region_rule => matched.clone(),
            Some(matched) => Match::targets(matched.parts().iter().map(|target| {
                let region = target.region.clone().map(Region::on_centered_grid);
                Target { region, ..target.clone() }
            })),
        }
    }

    /// The goal, without the functions that a file cannot hold.
    pub(super) fn goal(&self) -> Goal {
        let Self { penalties, bound, coarse_to_fine, .. } = self.clone();
        Goal { matched: self.matched_or_stage(), loss: None, penalties, bound, coarse_to_fine }
    }

    /// The goal for this network; the error is the reason why a file cannot be followed.
    pub(super) fn prepared_goal(&self, network: &Network) -> std::result::Result<Goal, String> {
        if !self.functions.is_empty() {
            let functions = self.functions.join(" and ");
            return Err(format!("was made with {functions}, which a file cannot hold; run the code that made it"));
        }
        let goal = self.goal();
        let matched = goal.matched.prepared(network).map_err(|e| e.to_string())?;
        Ok(Goal { matched, ..goal })
    }

    /// Returns whether one whole stage was matched, and nothing else was asked for.
    pub(super) fn is_plain(&self) -> bool {
        let Self { matched, penalties, bound, coarse_to_fine, functions, .. } = self;
        matched.is_none() && penalties.is_empty() && bound.is_none() && coarse_to_fine.is_none() && functions.is_empty()
    }

    /// Versions and machine, on one line.
    pub(super) fn made_by(&self) -> String {
        let comma = if self.instructions.is_empty() { "" } else { ", " };
        let Self { metamers, candle, device, instructions, .. } = self;
        format!("metamers {metamers} with candle {candle} on {device}{comma}{instructions}")
    }

    /// Checks that this is the recorded network; the error is the reason why not.
    pub(super) fn check(&self, network: &Network) -> std::result::Result<(), String> {
        let weights = &network.weights_source().weights_sha256;
        if *weights == self.weights_sha256 && network.name() == self.network {
            return Ok(());
        }
        let (expected, expected_weights) = (&self.network, &self.weights_sha256);
        let name = network.name();
        Err(format!(
            "was made with {expected} of weights {expected_weights}, but this network is {name} of weights {weights}; pass the network that made it"
        ))
    }
}

impl std::fmt::Display for Provenance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "network   {} (weights SHA-256 {})", self.network, self.weights_sha256)?;
        let several = self.matched.as_ref().is_some_and(|matched| matched.stage_names().len() > 1);
        writeln!(f, "{}    {}", if several { "stages" } else { "stage " }, self.stage)?;
        for penalty in &self.penalties {
            writeln!(f, "penalty   {} × {penalty}", penalty.weight())?;
        }
        if let Some(bound) = &self.bound {
            writeln!(f, "bound     {bound}")?;
        }
        if let Some(levels) = self.coarse_to_fine {
            writeln!(f, "coarse    {levels} levels before all frequencies")?;
        }
        if !self.functions.is_empty() {
            writeln!(f, "own       {}", self.functions.join(", "))?;
        }
        writeln!(f, "original  {}", self.original)?;
        writeln!(f, "start     {}, seed {}", self.start, self.seed)?;
        writeln!(f, "recipe    {}, {} steps at most", self.recipe.name, self.recipe.steps)?;
        for part in &self.begun_by {
            writeln!(f, "begun by  {part}")?;
        }
        write!(f, "made by   {}", self.made_by())
    }
}

impl Show for Provenance {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![MimeBundle::text(self.to_string())]
    }
}

crate::show_in_notebooks!(Provenance);

/// The device on which the network was run.
fn device(synthesis: &Synthesis) -> String {
    let Execution::OnDevice(device) = &synthesis.execution else { return "CPU".into() };
    match device.location() {
        DeviceLocation::Cpu => "CPU by operations of candle".into(),
        DeviceLocation::Cuda { gpu_id } => format!("CUDA device {gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("Metal device {gpu_id}"),
    }
}

/// The operating system; a page does not know it.
fn operating_system() -> &'static str {
    if cfg!(target_family = "wasm") { "browser" } else { std::env::consts::OS }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_recorded_version_of_candle_is_the_pinned_one() {
        let manifest = include_str!("../../Cargo.toml");
        assert!(manifest.contains(&format!("candle-core = \"={}\"", super::CANDLE_VERSION)));
    }
}
