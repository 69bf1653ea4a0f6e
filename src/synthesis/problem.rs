//! The objective function of a synthesis: loss and gradient at a stimulus.

use super::evaluator::Evaluator;
use super::execution::Execution;
use super::feature::{Feature, Term};
use super::goal::{Bound, Goal, PenaltyTerm};
use super::low_pass::LowPass;
use super::optimizer::{Evaluation, Planes};
use super::recipe::{Lbfgs, Loss, Optimizer, Recipe};
use super::stage_loss::{Distance, StageLoss, range_penalty};
use crate::engine::Isa;
use crate::network::Network;
use crate::similarity::{Similarity, snr_db};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// A network up to the matched stages, the loss relative to the original's features there, and penalties.
#[derive(Clone)]
pub(super) struct Problem {
    evaluator: Evaluator,
    /// The number of units of each of the evaluator's stages.
    units: Vec<usize>,
    terms: Vec<Term>,
    penalties: Vec<PenaltyTerm>,
    bound: Option<Bound>,
    coarse_to_fine: Option<LowPass>,
    /// The weight of the range penalty that belongs to the recipe's loss.
    range_penalty: Option<f64>,
    /// The problem of matching an earlier stage, which a recipe may solve first.
    earlier: Option<Box<Problem>>,
    /// The input shape of a batch of one.
    shape: Vec<usize>,
    range: [f32; 2],
}

/// The match of one target.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct TargetMatch {
    /// The target, such as "block2 (Gram matrix)".
    pub target: String,
    /// The target's weight.
    pub weight: f64,
    /// The similarity of its features between original and metamer.
    pub similarity: Similarity,
}

impl Problem {
    pub fn new(
        network: &Network,
        goal: &Goal,
        original: &Stimulus,
        recipe: &Recipe,
        execution: &Execution,
    ) -> Result<Self> {
        // The optimizer's own products use it too.
        Isa::selected()?;
        let stages = goal.matched.stage_names();
        let evaluator = Evaluator::new(network, &stages, execution)?;
        let units = stages.iter().map(|stage| Ok(network.stage(stage)?.units())).collect::<Result<Vec<_>>>()?;
        let shape: Vec<usize> = std::iter::once(1).chain(network.input().shape()).collect();
        let z = evaluator.preactivations(original.values(), &shape)?;
        let z = parts(&z, &units);
        let mut terms = vec![];
        for target in goal.matched.parts() {
            let tap = stages.iter().position(|stage| *stage == target.stage).unwrap_or_default();
            let feature = Feature::new(target, network)?;
            let features = feature.values(z[tap]);
            crate::finite::check(|| format!("stage \"{target}\" of the original"), &features)?;
            let stage_loss = StageLoss::new(features, feature.rectifier(), recipe.loss, recipe.identity_gradient);
            if stage_loss.norm() == 0.0 {
                let reason =
                    "every unit is silent (0) for this stimulus, so there is nothing to match; use an earlier stage";
                return Err(Error::invalid(format!("stage \"{target}\""), reason));
            }
            let (name, own) = (target.to_string(), goal.loss.clone());
            terms.push(Term { name, weight: target.weight, feature, stage_loss, own, tap });
        }
        let range = original.range();
        let penalties = goal.penalties.iter().map(|penalty| PenaltyTerm::new(penalty, &shape, range));
        let penalties = penalties.collect::<Result<_>>()?;
        let range_penalty = match recipe.loss {
            Loss::MeanSquaredError { range_penalty } => Some(range_penalty),
            _ => None,
        };
        let own_recipe = recipe.clone().without_return();
        let earlier =
            earlier_goal(network, goal, recipe).map(|goal| Self::new(network, &goal, original, &own_recipe, execution));
        let earlier = match earlier {
            // An earlier stage that is silent for the original cannot help.
            None | Some(Err(Error::Invalid { .. })) => None,
            Some(earlier) => Some(Box::new(earlier?)),
        };
        let bound = goal.bound.clone();
        let coarse_to_fine =
            goal.coarse_to_fine.map(|levels| LowPass::new(Planes::of_shape(&shape), levels, recipe.steps));
        Ok(Self { evaluator, units, terms, penalties, bound, coarse_to_fine, range_penalty, earlier, shape, range })
    }

    pub fn evaluate(&self, x: &[f32]) -> Result<Evaluation> {
        let (mut gradient, found) = self.evaluator.evaluate(x, &self.shape, |z, g| self.distance(z, g))?;
        let (distance, target_snr_db) = found?;
        let mut loss = distance.loss;
        if let Some(weight) = self.range_penalty {
            loss += range_penalty(x, self.range, weight, &mut gradient);
        }
        for penalty in &self.penalties {
            loss += penalty.evaluate(x, &mut gradient)?;
        }
        Ok(Evaluation { loss, gradient: gradient.into(), snr_db: distance.snr_db, target_snr_db })
    }

    /// Returns whether there is an earlier stage that can be matched first.
    pub fn has_earlier_stage(&self) -> bool {
        self.earlier.is_some()
    }

    /// The evaluation of the earlier stage, and loss and signal-to-noise ratio of this problem's own stage; without an earlier stage those of
    /// its own.
    pub fn evaluate_earlier(&self, x: &[f32]) -> Result<(Evaluation, [f64; 2])> {
        let Some(earlier) = &self.earlier else {
            let found = self.evaluate(x)?;
            let own = [found.loss, found.snr_db];
            return Ok((found, own));
        };
        let z = self.evaluator.preactivations(x, &self.shape)?;
        let (own, _) = self.distance(&z, &mut vec![0.0; z.len()])?;
        Ok((earlier.evaluate(x)?, [own.loss, own.snr_db]))
    }

    /// The sum of all terms at the values `z` of all stages; writes its gradient to `gradient`. Also returns the signal-to-noise ratio of
    /// each of several terms.
    fn distance(&self, z: &[f32], gradient: &mut [f32]) -> Result<(Distance, Vec<f64>)> {
        if let [term] = self.terms.as_slice() {
            return Ok((term.distance(z, gradient)?, vec![]));
        }
        let (z, mut gradients) = (parts(z, &self.units), parts_mut(gradient, &self.units));
        gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        let (mut loss, mut square, mut total, mut snrs) = (0.0, 0.0, 0.0, vec![]);
        for term in &self.terms {
            let mut change = vec![0.0; self.units[term.tap]];
            let distance = term.distance(z[term.tap], &mut change)?;
            gradients[term.tap].iter_mut().zip(&change).for_each(|(g, change)| *g += change);
            loss += distance.loss;
            square += term.weight * distance.relative_square;
            total += term.weight;
            snrs.push(distance.snr_db);
        }
        let relative_square = square / total;
        Ok((Distance { loss, snr_db: -10.0 * relative_square.log10(), relative_square }, snrs))
    }

    /// The features of each target.
    fn features(&self, x: &[f32]) -> Result<Vec<Vec<f32>>> {
        let z = self.evaluator.preactivations(x, &self.shape)?;
        let z = parts(&z, &self.units);
        Ok(self.terms.iter().map(|term| term.feature.values(z[term.tap])).collect())
    }

    /// The joint signal-to-noise ratio at a stimulus, in dB.
    pub fn snr_db(&self, x: &[f32]) -> Result<f64> {
        let snr = |(term, features): (&Term, &Vec<f32>)| {
            Ok(snr_db(&term.stage_loss.target, features)?.unwrap_or(f64::NEG_INFINITY))
        };
        let snrs = self.terms.iter().zip(&self.features(x)?).map(snr).collect::<Result<Vec<_>>>()?;
        Ok(self.joint(&snrs))
    }

    /// The joint signal-to-noise ratio of all targets, given that of each.
    fn joint(&self, snrs: &[f64]) -> f64 {
        if let [snr] = *snrs {
            return snr;
        }
        let total: f64 = self.terms.iter().map(|term| term.weight).sum();
        let square: f64 = self.terms.iter().zip(snrs).map(|(term, snr)| term.weight * 10f64.powf(-snr / 10.0)).sum();
        -10.0 * (square / total).log10()
    }

    /// The similarity at a stimulus, and that of each target. Of several targets, rho and r are the lowest, and the signal-to-noise
    /// ratio is the joint one.
    pub fn similarity(&self, x: &[f32]) -> Result<(Similarity, Vec<TargetMatch>)> {
        let features = self.features(x)?;
        let matches = self.terms.iter().zip(&features).map(|(term, features)| {
            let similarity = Similarity::between(&term.stage_loss.target, features)?;
            Ok(TargetMatch { target: term.name.clone(), weight: term.weight, similarity })
        });
        let matches = matches.collect::<Result<Vec<_>>>()?;
        if let [only] = matches.as_slice() {
            return Ok((only.similarity, matches));
        }
        let lowest = |value: fn(&Similarity) -> Option<f64>| {
            let values = matches.iter().map(|found| value(&found.similarity)).collect::<Option<Vec<f64>>>();
            values.map(|values| values.into_iter().fold(f64::INFINITY, f64::min))
        };
        let snrs = matches.iter().map(|found| found.similarity.snr_db).collect::<Option<Vec<f64>>>();
        let similarity = Similarity {
            spearman: lowest(|s| s.spearman),
            pearson: lowest(|s| s.pearson),
            snr_db: snrs.map(|snrs| self.joint(&snrs)),
        };
        Ok((similarity, matches))
    }

    /// The names of the targets.
    pub fn target_names(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|term| term.name.as_str())
    }

    /// Each term with the features of a stimulus.
    pub fn features_of(&self, x: &[f32]) -> Result<Vec<(&Term, Vec<f32>)>> {
        Ok(self.terms.iter().zip(self.features(x)?).collect())
    }

    /// Moves a stimulus within the bound, if there is one.
    fn project(&self, x: &mut [f32]) {
        if let Some(bound) = &self.bound {
            bound.project(x);
        }
    }

    /// Returns whether a step changes coarse structure only.
    pub fn is_coarse_at(&self, step: usize) -> bool {
        self.coarse_to_fine.as_ref().is_some_and(|low_pass| low_pass.cutoff(step).is_some())
    }

    /// Restricts step number `step`, from `last` to `x`, to coarse changes where the run is coarse, to `limits` and to the bound.
    pub fn restrict(&self, x: &mut [f32], last: &[f32], step: usize, limits: Option<[f32; 2]>) {
        if let Some(low_pass) = self.coarse_to_fine.as_ref().filter(|_| last.len() == x.len()) {
            low_pass.restrict(x, last, step);
            if let Some([low, high]) = limits {
                x.iter_mut().for_each(|x| *x = x.clamp(low, high));
            }
        }
        self.project(x);
    }

    pub fn planes(&self) -> Planes {
        Planes::of_shape(&self.shape)
    }

    /// The minimum and maximum valid value of the stimulus.
    pub fn range(&self) -> [f32; 2] {
        self.range
    }
}

/// The goal of matching the stage at a third of the matched stage's index, for recipes that do so first.
fn earlier_goal(network: &Network, goal: &Goal, recipe: &Recipe) -> Option<Goal> {
    let Optimizer::Lbfgs(Lbfgs { earlier_steps: 1.., .. }) = recipe.optimizer else { return None };
    let is_plain = goal.penalties.is_empty() && goal.bound.is_none() && goal.loss.is_none();
    let stage = goal.matched.whole_stage().filter(|_| is_plain)?;
    let stages = network.stages();
    let index = stages.iter().position(|other| other.name == stage).filter(|index| *index > 0)?;
    Some(Goal { matched: (&stages[index / 3].name).into(), ..goal.clone() })
}

/// Splits the values of all stages.
fn parts<'a>(mut values: &'a [f32], units: &[usize]) -> Vec<&'a [f32]> {
    let part = |&count: &usize| {
        let (part, rest) = values.split_at(count);
        values = rest;
        part
    };
    units.iter().map(part).collect()
}

fn parts_mut<'a>(values: &'a mut [f32], units: &[usize]) -> Vec<&'a mut [f32]> {
    let mut rest = values;
    let mut found = vec![];
    for &count in units {
        let (part, after) = rest.split_at_mut(count);
        found.push(part);
        rest = after;
    }
    found
}
