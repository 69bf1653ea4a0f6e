//! Analysis of recognition experiments: proportions correct, confidence intervals and a test of the stage effect.
//!
//! ```
//! use metamers::experiment::analysis::{Analysis, Published, SimulatedParticipants};
//!
//! // Saved answers: Answers::open_folder("answers")?
//! let answers = SimulatedParticipants::like(&Published::alexnet()).participants(12).seed(1).answers()?;
//! let recognition = Analysis::new(answers).published(Published::alexnet()).run()?;
//! let natural = &recognition.proportions()[0];
//! assert!(natural.condition == "natural" && natural.mean > 0.7);
//! assert!(recognition.stage_effect(10_000, 1)?.p < 0.01);
//! # Ok::<(), metamers::Error>(())
//! ```

mod answers;
mod bootstrap;
mod exclusion;
mod files;
mod permutation;
mod proportion;
mod published;
mod recognition;
mod report;
mod run;
mod simulated;
#[cfg(test)]
mod tests;

pub use answers::{Answer, Answers, Block, Participant};
pub use exclusion::{Excluded, ExclusionRule};
pub use permutation::{RepeatedMeasures, StageEffect};
pub use proportion::ConditionProportion;
pub use published::Published;
pub use recognition::Recognition;
pub use run::Analysis;
pub use simulated::SimulatedParticipants;
