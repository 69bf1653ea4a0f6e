//! A few steps towards a metamer: does anything move, and how long does it take?

use super::InspectedStage;
use crate::Result;
use crate::network::Network;
use crate::stimulus::Stimulus;
use crate::synthesis::{Metamer, Point, StopReason, Synthesis};

/// Steps of a metamer that is tried.
const STEPS: usize = 20;
/// Gradient evaluations that are timed at each stage, after one that is not.
const MEASURED: usize = 2;
/// Beyond this match, in dB, there is nothing left to see.
const MATCHED: f64 = 60.0;
/// Steps that bring less than this, in dB, bring nothing.
const GAIN: f64 = 0.1;

/// A metamer that was tried, and all its gradient evaluations.
#[derive(Clone)]
pub(super) struct Smoke {
    pub metamer: Metamer,
    pub points: Vec<Point>,
    pub steps: usize,
}

/// Times a gradient at each stage, and tries metamers at the first, the middle and the last.
pub(super) fn measure(
    network: &Network,
    stimulus: &Stimulus,
    stages: &mut [InspectedStage],
    warnings: &mut Vec<String>,
) -> Result<Vec<Smoke>> {
    let count = stages.len();
    let tried = [0, count / 2, count.saturating_sub(1)];
    let mut smoke = vec![];
    for (index, stage) in stages.iter_mut().enumerate() {
        // Of a stage that has nothing to match or whose values are no numbers a warning tells already.
        let plan = Synthesis::new(network, &stage.stage.name, stimulus.clone())?.unlogged();
        let Ok(mut run) = plan.start() else { continue };
        let mut attempt = || -> Result<bool> {
            stage.evaluation = Some(run.time_of_evaluation(MEASURED)?);
            while tried.contains(&index) && run.steps() < STEPS && run.snr_db().is_none_or(|snr| snr < MATCHED) {
                if run.step(1)?.stop_reason == StopReason::Interrupted {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let name = &stage.stage.name;
        match attempt() {
            Ok(true) => {
                warnings.push(format!("interrupted at {name}: the stages from there on were not measured"));
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
            if after.is_nan() || after < before + GAIN {
                warnings.push(format!(
                    "{name}: {STEPS} steps of Recipe::fast brought the match from {before:.1} to {after:.1} dB only; for a small picture \
                     its first steps are long, so try Recipe::feather2023 too"
                ));
            }
            smoke.push(Smoke { metamer: run.finish()?, points, steps: run.steps() });
        }
    }
    Ok(smoke)
}
