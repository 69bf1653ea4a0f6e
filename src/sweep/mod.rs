//! Sweeps: metamers for many stimuli, stages, seeds and networks.
//!
//! A [`Sweep`] is built in a notebook, or described by a [`Plan`], a TOML file. It consists of numbered tasks; each task is one
//! metamer and depends only on the plan, or, for [different metamers](Sweep::different), also on the tasks of earlier seeds. A killed
//! sweep can therefore resume, tasks can run on any core, and Slurm or another scheduler can run a large sweep on many machines:
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
//! # Files
//!
//! | file | content |
//! | --- | --- |
//! | `study.json` | the resolved plan: stages, recipes, SHA-256 of weights and stimuli |
//! | `results/17.metamer`, `results/17.json` | a finished task: the metamer ([`Metamer::open`](crate::synthesis::Metamer::open)) and its row |
//! | `running/17.run` | a running task, saved at intervals |
//! | `results.csv` | all rows |
//! | `slurm/` | scripts, lists of tasks and logs |
//!
//! All writes are atomic. `results/*.metamer` and `results.csv` are bit-identical on all processors with the same vector
//! instructions; the order of tasks, the number of threads and interruptions have no effect.

mod builder;
mod cost;
mod explorer;
mod goal;
mod items;
mod job;
mod manifest;
mod panel;
mod patterns;
mod plan;
mod progress;
mod results;
mod row;
mod slurm;
mod sources;
mod store;
mod submission_folder;
mod task;
mod workers;

pub use builder::Sweep;
pub use cost::{Cost, CostRow};
pub use explorer::SweepExplorer;
pub use goal::PlannedBound;
pub use plan::{EveryStage, Plan, RecipeChoice, StageSelection};
pub use results::SweepResults;
pub use row::Row;
pub use slurm::{Slurm, Submission, Submit, task_ranges};

/// SHA-256 of a value's JSON, in hexadecimal.
fn digest(value: &impl serde::Serialize) -> crate::Result<String> {
    let json = serde_json::to_vec(value);
    Ok(crate::fs::sha256::hex_digest(
        &json.map_err(|e| crate::Error::invalid("plan", format!("cannot be written as JSON ({e})")))?,
    ))
}
