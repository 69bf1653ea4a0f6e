//! What came out of a task, as a line of the table.

use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, Task};
use crate::similarity::Similarity;
use crate::synthesis::{Metamer, StopReason};
use crate::verdict::{Outcome, Verdict};

/// What came out of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The task's number.
    pub task: usize,
    /// The network, as the plan names it.
    pub network: String,
    /// The matched stage.
    pub stage: String,
    /// The stimulus, as the plan names it.
    pub stimulus: String,
    /// The seed.
    pub seed: u64,
    /// The recipe's name.
    pub recipe: String,
    /// Steps of the optimiser.
    pub steps: usize,
    /// Gradient evaluations.
    pub evaluations: usize,
    /// Why it ended; `None` when it failed.
    pub ended: Option<StopReason>,
    /// How alike the activations at the stage are; `None` when it failed before the first step.
    pub similarity: Option<Similarity>,
    /// What the network takes the original for, if it is a classifier.
    pub original_class: Option<String>,
    /// What the network takes the metamer for.
    pub metamer_class: Option<String>,
    /// Whether both are one class.
    pub same_class: Option<bool>,
    /// Whether it is a metamer; `None` where there is no null distribution for the network, and none was given.
    pub outcome: Option<Outcome>,
    /// Why there is no metamer, or none that is finished: a stage at which the stimulus leaves every unit silent, a loss
    /// that is no number any more. The same would happen again, so the task counts as done.
    pub error: Option<String>,
}

impl Row {
    pub(super) fn new(study: &Manifest, task: &Task) -> Self {
        let subject = study.subject(task);
        Self {
            task: task.index,
            network: subject.name.clone(),
            stage: study.stage(task).into(),
            stimulus: study.stimuli[task.stimulus].name.clone(),
            seed: task.seed,
            recipe: subject.recipe.name.clone(),
            steps: 0,
            evaluations: 0,
            ended: None,
            similarity: None,
            original_class: None,
            metamer_class: None,
            same_class: None,
            outcome: None,
            error: None,
        }
    }

    pub(super) fn with(self, metamer: &Metamer, verdict: Option<Verdict>) -> Self {
        let class = |c: Option<&crate::network::Classification>| Some(c?.top().name.clone());
        Self {
            similarity: Some(metamer.similarity()),
            original_class: class(metamer.original_class()),
            metamer_class: class(metamer.metamer_class()),
            same_class: metamer.same_class(),
            outcome: verdict.map(|verdict| verdict.outcome),
            ..self
        }
    }

    /// The signal-to-noise ratio at the stage, in dB, where there is one.
    pub fn snr_db(&self) -> Option<f64> {
        self.similarity.and_then(|s| s.snr_db)
    }

    pub(super) const COLUMNS: [&str; 17] = [
        "task",
        "network",
        "stage",
        "stimulus",
        "seed",
        "recipe",
        "steps",
        "evaluations",
        "ended",
        "snr_db",
        "spearman",
        "pearson",
        "original_class",
        "metamer_class",
        "same_class",
        "outcome",
        "error",
    ];

    /// The cells of the table's row, in the order of [`Row::COLUMNS`]; what there is not is empty.
    pub(super) fn cells(&self) -> [String; 17] {
        fn cell(value: Option<impl ToString>) -> String {
            value.map_or_else(String::new, |v| v.to_string())
        }
        let measure = |of: fn(&Similarity) -> Option<f64>| cell(self.similarity.as_ref().and_then(of));
        [
            self.task.to_string(),
            self.network.clone(),
            self.stage.clone(),
            self.stimulus.clone(),
            self.seed.to_string(),
            self.recipe.clone(),
            self.steps.to_string(),
            self.evaluations.to_string(),
            cell(self.ended),
            measure(|s| s.snr_db),
            measure(|s| s.spearman),
            measure(|s| s.pearson),
            cell(self.original_class.as_ref()),
            cell(self.metamer_class.as_ref()),
            cell(self.same_class),
            cell(self.outcome),
            cell(self.error.as_ref()),
        ]
    }
}
