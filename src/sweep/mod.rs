//! Sweeps: metamers of many stimuli at many stages, from several seeds, of several networks.
//!
//! A [`Sweep`] is made in a notebook or opened from a [`Plan`], a TOML file. Its tasks are numbered; each is one metamer, and
//! depends on nothing but the plan. So a sweep that was killed goes on where it was, tasks run wherever there is a core,
//! and a study too large for one machine is run by Slurm, or any other scheduler, without an engine of ours:
//! `metamers sweep plan.toml --task 17`.
//!
//! ```
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;
//! let photos = [Image::open("photos/dog.jpg")?, Image::open("photos/giant_panda.jpg")?];
//! let results = Sweep::new(&net).images(&photos).stages(["stem", "block0"]).until(10.0).evaluations(12).quiet().run()?;
//! assert_eq!(results.rows().len(), 4);
//! # Ok::<(), metamers::Error>(())
//! ```
//!
//! # In the folder
//!
//! | file | what |
//! | --- | --- |
//! | `study.json` | the plan with all that it names: stages, recipes, SHA-256 of weights and stimuli |
//! | `results/17.metamer`, `results/17.json` | a finished task: for [`Metamer::open`](crate::synthesis::Metamer::open), and its row |
//! | `running/17.run` | a task under way, saved now and then |
//! | `results.csv` | all rows |
//! | `slurm/` | scripts, lists of tasks and logs |
//!
//! Everything is written whole or not at all. `results/*.metamer` and `results.csv` are the same bits whoever computed them, in
//! whatever order, on how many threads, and how often interrupted, on processors with the same vector instructions.

mod builder;
mod cost;
mod items;
mod job;
mod manifest;
mod panel;
mod plan;
mod progress;
mod results;
mod row;
mod slurm;
mod sources;
mod store;
mod task;
mod workers;

pub use builder::Sweep;
pub use cost::{Cost, CostRow};
pub use plan::{Plan, RecipeChoice, Stages, Word};
pub use results::SweepResults;
pub use row::Row;
pub use slurm::{Slurm, Submission, ranges};

/// SHA-256 of a thing's JSON, in hexadecimal.
fn digest(thing: &impl serde::Serialize) -> crate::Result<String> {
    let json = serde_json::to_vec(thing);
    Ok(crate::fs::sha256::hex_digest(&json.map_err(|e| crate::Error::invalid("plan", format!("has no JSON ({e})")))?))
}
