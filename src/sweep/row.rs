//! The result of a task, as a row of the table.

use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, Task};
use crate::similarity::Similarity;
use crate::synthesis::{Metamer, StopReason};
use crate::verdict::{Outcome, Verdict};

/// The result of a task, one metamer, as a row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Row {
    /// The task's number.
    pub task: usize,
    /// The network's name in the plan; of several with the same name, with the first digits of the weights' SHA-256.
    pub network: String,
    /// The matched stage.
    pub stage: String,
    /// The stimulus' name in the plan.
    pub stimulus: String,
    /// The seed.
    pub seed: u64,
    /// The recipe's name.
    pub recipe: String,
    /// The number of optimiser steps; of a different metamer, that of its last run, after the halvings of its push.
    pub steps: usize,
    /// The number of gradient evaluations, of the same run.
    pub evaluations: usize,
    /// The reason why the run stopped; `None` if the task failed.
    #[serde(rename = "ended")]
    pub stop_reason: Option<StopReason>,
    /// The similarity of the activations at the stage; `None` if the task failed before the first step.
    pub similarity: Option<Similarity>,
    /// The network's class for the original; `None` if the network is not a classifier.
    pub original_class: Option<String>,
    /// The network's class for the metamer.
    pub metamer_class: Option<String>,
    /// `true` if both classes are equal.
    pub same_class: Option<bool>,
    /// The verdict's outcome; `None` without a null distribution for the network.
    pub outcome: Option<Outcome>,
    /// The error of a failed task, such as a stage whose units are all 0 for the stimulus, or a loss that is not finite. The error
    /// is reproducible, so the task counts as finished.
    pub error: Option<String>,
}

impl Row {
    pub(super) fn new(manifest: &Manifest, task: &Task) -> Self {
        let entry = manifest.network(task);
        Self {
            task: task.index,
            network: entry.name.clone(),
            stage: manifest.stage(task).into(),
            stimulus: manifest.stimuli[task.stimulus].name.clone(),
            seed: task.seed,
            recipe: entry.recipe.name.clone(),
            steps: 0,
            evaluations: 0,
            stop_reason: None,
            similarity: None,
            original_class: None,
            metamer_class: None,
            same_class: None,
            outcome: None,
            error: None,
        }
    }

    pub(super) fn with_metamer(self, metamer: &Metamer, verdict: Option<Verdict>) -> Self {
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

    /// The signal-to-noise ratio at the stage in dB, if defined.
    #[must_use]
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

    /// The cells in the order of [`Row::COLUMNS`]; missing values are empty. A text that a spreadsheet would take for a formula has a `'`
    /// before it.
    pub(super) fn cells(&self) -> [String; 17] {
        fn cell(value: Option<impl ToString>) -> String {
            value.map_or_else(String::new, |v| v.to_string())
        }
        let text = escape_formula;
        let measure = |field: fn(&Similarity) -> Option<f64>| cell(self.similarity.as_ref().and_then(field));
        [
            self.task.to_string(),
            text(&self.network),
            text(&self.stage),
            text(&self.stimulus),
            self.seed.to_string(),
            text(&self.recipe),
            self.steps.to_string(),
            self.evaluations.to_string(),
            cell(self.stop_reason),
            measure(|s| s.snr_db),
            measure(|s| s.spearman),
            measure(|s| s.pearson),
            cell(self.original_class.as_deref().map(text)),
            cell(self.metamer_class.as_deref().map(text)),
            cell(self.same_class),
            cell(self.outcome),
            cell(self.error.as_deref().map(text)),
        ]
    }
}

/// Puts a `'` before a text that a spreadsheet would take for a formula.
fn escape_formula(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_formulas_are_escaped() {
        for text in ["=1+1", "+x", "-block", "@SUM(A1)", "\t=1"] {
            assert_eq!(escape_formula(text), format!("'{text}"));
        }
        for text in ["", "block5", "a=b", "'quoted'", " =1"] {
            assert_eq!(escape_formula(text), text);
        }
    }
}
