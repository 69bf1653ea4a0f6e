//! The log of the networks, recipes and seeds of the runs in this process.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::recipe::Recipe;
use super::synthesis::Synthesis;

/// The maximum number of seeds that are listed in full.
const MAX_LISTED_SEEDS: usize = 12;

/// A network and its runs in this session.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NetworkUse {
    /// The network's name.
    pub network: String,
    /// SHA-256 of the network's weights.
    pub weights_sha256: String,
    /// The file, package or seed of the weights.
    pub source: String,
    /// The matched stages.
    pub stages: BTreeSet<String>,
    /// The distinct recipes.
    pub recipes: Vec<Recipe>,
    /// The seeds.
    pub seeds: BTreeSet<u64>,
    /// The number of runs that were started or resumed.
    pub runs: usize,
}

impl std::fmt::Display for NetworkUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |names: Vec<String>| names.join(", ");
        let plural = |word: &str, count: usize| if count == 1 { word.to_owned() } else { format!("{word}s") };
        let mut recipes: Vec<String> = self.recipes.iter().map(|recipe| recipe.name.clone()).collect();
        recipes.dedup();
        let seeds = match (self.seeds.len(), self.seeds.first(), self.seeds.last()) {
            (count, Some(first), Some(last)) if count > MAX_LISTED_SEEDS => {
                format!("{count} seeds from {first} to {last}")
            }
            (count, ..) => {
                format!("{} {}", plural("seed", count), list(self.seeds.iter().map(u64::to_string).collect()))
            }
        };
        writeln!(f, "{} from {}", self.network, self.source)?;
        writeln!(f, "           weights SHA-256 {}", self.weights_sha256)?;
        let stages = list(self.stages.iter().cloned().collect());
        write!(
            f,
            "           {} {}: {} {stages}; {} {}; {seeds}",
            self.runs,
            plural("run", self.runs),
            plural("stage", self.stages.len()),
            plural("recipe", recipes.len()),
            list(recipes)
        )
    }
}

static LOG: Mutex<Vec<NetworkUse>> = Mutex::new(Vec::new());

/// Logs a run that was started or resumed.
pub(super) fn log(synthesis: &Synthesis) {
    let Synthesis { network, goal, recipe, seed, .. } = synthesis;
    let source = network.weights_source();
    let mut networks = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |used: &NetworkUse| used.network == network.name() && used.weights_sha256 == source.weights_sha256;
    let index = networks.iter().position(same).unwrap_or_else(|| {
        networks.push(NetworkUse {
            network: network.name().into(),
            weights_sha256: source.weights_sha256.clone(),
            source: source.source.clone(),
            stages: BTreeSet::new(),
            recipes: vec![],
            seeds: BTreeSet::new(),
            runs: 0,
        });
        networks.len() - 1
    });
    let used = &mut networks[index];
    used.stages.insert(goal.matched.to_string());
    used.seeds.insert(*seed);
    used.runs += 1;
    if !used.recipes.contains(recipe) {
        used.recipes.push(recipe.clone());
    }
}

/// The networks of this session, in the order of their first run.
pub(crate) fn networks() -> Vec<NetworkUse> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
