//! Trial syntheses of a few steps, with the time of a gradient evaluation.

use super::InspectedStage;
use crate::interrupt::Listening;
use crate::network::Network;
use crate::stimulus::{Stimulus, StimulusKind};
use crate::synthesis::{Metamer, Point, Recipe, StopReason, Synthesis};
use crate::{Error, Result};

/// The maximum number of steps of a trial synthesis.
const MAX_STEPS: usize = 20;
/// The number of timed gradient evaluations at each stage, after one to warm up.
const TIMED_EVALUATIONS: usize = 2;
/// The SNR in dB at which a trial ends.
const MAX_SNR_DB: f64 = 60.0;
/// The gain in SNR, in dB, below which a warning is given.
const MIN_GAIN_DB: f64 = 0.1;

/// A trial synthesis and its history.
#[derive(Clone)]
pub(super) struct Trial {
    pub metamer: Metamer,
    pub points: Vec<Point>,
    pub steps: usize,
}

/// Times a gradient evaluation at each stage, and runs trial syntheses at the first, middle and last stage.
pub(super) fn measure(
    network: &Network,
    stimulus: &Stimulus,
    stages: &mut [InspectedStage],
    warnings: &mut Vec<String>,
) -> Result<Vec<Trial>> {
    let count = stages.len();
    let tried = [0, count / 2, count.saturating_sub(1)];
    let recipe = trial_recipe(stimulus.kind());
    let mut trials = vec![];
    let interrupted_at = |name: &str| format!("interrupted at {name}: this stage and later ones were not measured");
    // Also while a synthesis is prepared.
    let listening = Listening::begin();
    for (index, stage) in stages.iter_mut().enumerate() {
        if listening.interrupted() {
            warnings.push(interrupted_at(&stage.stage.name));
            break;
        }
        // Stages that cannot start (all zeros, or not finite) already have a warning.
        let plan = Synthesis::new(network, &stage.stage.name, stimulus.clone())?.unlogged();
        let Ok(mut run) = plan.recipe(recipe.clone()).start() else { continue };
        let mut attempt = || -> Result<bool> {
            stage.evaluation = Some(run.time_of_evaluation(TIMED_EVALUATIONS)?);
            while tried.contains(&index) && run.steps() < MAX_STEPS && run.snr_db().is_none_or(|snr| snr < MAX_SNR_DB) {
                if run.step(1)?.stop_reason == StopReason::Interrupted {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let name = &stage.stage.name;
        match attempt() {
            Ok(true) | Err(Error::Interrupted { .. }) => {
                warnings.push(interrupted_at(name));
                break;
            }
            Ok(false) => {}
            Err(e) => {
                warnings.push(format!("{name}: {e}"));
                continue;
            }
        }
        if tried.contains(&index) {
            let points = run.history().to_vec();
            let before = points.first().map_or(f64::NAN, |point| point.snr_db);
            let after = run.snr_db().unwrap_or(f64::NAN);
            stage.snr_db = Some([before, after]);
            if after.is_nan() || after < before + MIN_GAIN_DB {
                warnings.push(no_progress(name, &recipe.name, stimulus.kind(), [before, after]));
            }
            trials.push(Trial { metamer: run.finish()?, points, steps: run.steps() });
        }
    }
    Ok(trials)
}

/// The recipe of trials: the default one without the return towards the start, for which a trial has too few steps.
fn trial_recipe(kind: StimulusKind) -> Recipe {
    Recipe::default_for(kind).without_return()
}

/// The warning about a trial at a stage in which the SNR hardly rose.
fn no_progress(stage: &str, recipe: &str, kind: StimulusKind, [before, after]: [f64; 2]) -> String {
    let advice = match kind {
        StimulusKind::Image => "its first steps can be too long for small images, so try Recipe::feather2023 too",
        StimulusKind::Sound => "try Recipe::feather2023_sound too",
    };
    format!(
        "{stage}: {MAX_STEPS} steps of Recipe::{recipe} improved the SNR only from {before:.1} to {after:.1} dB; {advice}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_names_the_recipe_that_ran_and_one_of_its_kind() {
        for (kind, ran, advised) in [
            (StimulusKind::Image, Recipe::natural_prior(), Recipe::feather2023()),
            (StimulusKind::Sound, Recipe::natural_prior_sound(), Recipe::feather2023_sound()),
        ] {
            let recipe = trial_recipe(kind);
            assert_eq!(recipe, ran);
            let warning = no_progress("conv1", &recipe.name, kind, [1.0, 1.0]);
            let parts = [format!("Recipe::{} improved", ran.name), format!("try Recipe::{} too", advised.name)];
            assert!(parts.iter().all(|part| warning.contains(part)), "{warning}");
        }
    }
}
