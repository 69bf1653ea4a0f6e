//! What this process has made metamers with.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::network::Network;
use crate::synthesis::Recipe;

/// More seeds than these are said by how many they are.
const MOST_SEEDS: usize = 12;

/// A network, and the runs that one session made with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NetworkUse {
    /// The network's name.
    pub network: String,
    /// SHA-256 of its weights' file.
    pub weights_sha256: String,
    /// The file, package or seed that the weights come from.
    pub source: String,
    /// The stages that were matched.
    pub stages: BTreeSet<String>,
    /// The recipes, each once.
    pub recipes: Vec<Recipe>,
    /// The seeds.
    pub seeds: BTreeSet<u64>,
    /// How many runs were started or resumed.
    pub runs: usize,
}

impl std::fmt::Display for NetworkUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |names: Vec<String>| names.join(", ");
        let several = |word: &str, count: usize| if count == 1 { word.to_owned() } else { format!("{word}s") };
        let mut recipes: Vec<String> = self.recipes.iter().map(|recipe| recipe.name.clone()).collect();
        recipes.dedup();
        let seeds = match (self.seeds.len(), self.seeds.first(), self.seeds.last()) {
            (count, Some(first), Some(last)) if count > MOST_SEEDS => format!("{count} seeds from {first} to {last}"),
            (count, ..) => {
                format!("{} {}", several("seed", count), list(self.seeds.iter().map(u64::to_string).collect()))
            }
        };
        writeln!(f, "{} from {}", self.network, self.source)?;
        writeln!(f, "           weights SHA-256 {}", self.weights_sha256)?;
        let stages = list(self.stages.iter().cloned().collect());
        write!(
            f,
            "           {} {}: {} {stages}; {} {}; {seeds}",
            self.runs,
            several("run", self.runs),
            several("stage", self.stages.len()),
            several("recipe", recipes.len()),
            list(recipes)
        )
    }
}

static NETWORKS: Mutex<Vec<NetworkUse>> = Mutex::new(Vec::new());

/// Remembers a run that begins.
pub(crate) fn note_run(network: &Network, stage: &str, recipe: &Recipe, seed: u64) {
    let provenance = network.weights_source();
    let mut networks = NETWORKS.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |used: &NetworkUse| used.network == network.name() && used.weights_sha256 == provenance.weights_sha256;
    let index = networks.iter().position(same).unwrap_or_else(|| {
        networks.push(NetworkUse {
            network: network.name().into(),
            weights_sha256: provenance.weights_sha256.clone(),
            source: provenance.source.clone(),
            stages: BTreeSet::new(),
            recipes: vec![],
            seeds: BTreeSet::new(),
            runs: 0,
        });
        networks.len() - 1
    });
    let used = &mut networks[index];
    used.stages.insert(stage.into());
    used.seeds.insert(seed);
    used.runs += 1;
    if !used.recipes.contains(recipe) {
        used.recipes.push(recipe.clone());
    }
}

pub(super) fn networks() -> Vec<NetworkUse> {
    NETWORKS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
