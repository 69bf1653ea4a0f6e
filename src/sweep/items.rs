//! Conversion of sweep results to experiment items.

use super::results::SweepResults;
use crate::experiment::Item;
use crate::verdict::Outcome;
use crate::{Error, Result};

impl SweepResults {
    /// The items of a [`RecognitionTask`](crate::experiment::RecognitionTask), for pairs of stimulus and correct answer.
    ///
    /// Each stimulus gives its original, as prepared for the network, and its metamers of the first seed. The condition is the stage;
    /// with several networks, stage and network. Metamers without the verdict [`Outcome::Metamer`] are not included.
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
    /// Fails for a stimulus that is not in the sweep, with suggestions, and for a result that cannot be read.
    pub fn items<S: AsRef<str>, A: Into<String>>(
        &self,
        answers: impl IntoIterator<Item = (S, A)>,
    ) -> Result<Vec<Item>> {
        let (manifest, mut items) = (&self.job.manifest, vec![]);
        let seed = manifest.seeds.first().copied().unwrap_or_default();
        for (name, answer) in answers {
            let (name, answer) = (name.as_ref(), answer.into());
            let Some(stimulus) = manifest.stimuli.iter().position(|item| item.name == name) else {
                let known = manifest.stimuli.iter().map(|item| item.name.as_str());
                return Err(Error::unknown("stimulus of this sweep", name, known));
            };
            let mut has_original = false;
            for (network, entry) in manifest.networks.iter().enumerate() {
                for task in manifest.tasks_at(network, stimulus, seed).unwrap_or_default() {
                    let (Some(row), Some(metamer)) = (self.rows.get(&task), self.job.store.metamer(task)?) else {
                        continue;
                    };
                    if !std::mem::replace(&mut has_original, true) {
                        items.push(Item::natural(name, &answer, metamer.original()));
                    }
                    let condition = match manifest.networks.len() {
                        1 => row.stage.clone(),
                        _ => format!("{} of {}", row.stage, entry.name),
                    };
                    let item = Item::new(name, condition, &answer, metamer.stimulus());
                    items.push(if row.outcome == Some(Outcome::Metamer) { item } else { item.excluded() });
                }
            }
        }
        Ok(items)
    }
}
