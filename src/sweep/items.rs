//! From a sweep to an experiment.

use super::results::SweepResults;
use crate::experiment::Item;
use crate::verdict::Outcome;
use crate::{Error, Result};

impl SweepResults {
    /// What a [`RecognitionTask`](crate::experiment::RecognitionTask) shows: for each stimulus and its right answer the original as the network
    /// saw it, and its metamers of the first seed. The condition is the stage; with several networks, stage and network.
    ///
    /// Metamers whose verdict is another than [`Outcome::Metamer`], or that have none, are marked not to be shown.
    ///
    /// ```
    /// # use metamers::prelude::{analysis::*, *};
    /// fn task(results: &SweepResults) -> Result<RecognitionTask> {
    ///     RecognitionTask::builder("What do you see?", Choices::entry_level())
    ///         .items(results.items([("dog", "dog"), ("giant panda", "bear")])?)
    ///         .build()
    /// }
    /// ```
    ///
    /// # Errors
    /// A stimulus that the sweep does not have, with the likeliest, and a result that cannot be read.
    pub fn items<S: AsRef<str>, A: Into<String>>(
        &self,
        answers: impl IntoIterator<Item = (S, A)>,
    ) -> Result<Vec<Item>> {
        let (study, mut items) = (&self.job.study, vec![]);
        let seed = study.seeds.first().copied().unwrap_or_default();
        for (name, answer) in answers {
            let (name, answer) = (name.as_ref(), answer.into());
            let Some(stimulus) = study.stimuli.iter().position(|item| item.name == name) else {
                let known = study.stimuli.iter().map(|item| item.name.as_str());
                return Err(Error::unknown("stimulus of this sweep", name, known));
            };
            let mut begun = false;
            for (network, subject) in study.networks.iter().enumerate() {
                for task in study.row_of(network, stimulus, seed).unwrap_or_default() {
                    let (Some(row), Some(metamer)) = (self.rows.get(&task), self.job.store.metamer(task)?) else {
                        continue;
                    };
                    if !std::mem::replace(&mut begun, true) {
                        items.push(Item::natural(name, &answer, metamer.original()));
                    }
                    let condition = match study.networks.len() {
                        1 => row.stage.clone(),
                        _ => format!("{} of {}", row.stage, subject.name),
                    };
                    let shown = row.outcome == Some(Outcome::Metamer);
                    items.push(Item::new(name, condition, &answer, metamer.stimulus()).included(shown));
                }
            }
        }
        Ok(items)
    }
}
