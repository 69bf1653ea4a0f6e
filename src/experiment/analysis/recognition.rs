//! The analysis: from the answers of a class to proportions correct, beside the network and the published means.

use super::{Answers, Block, Excluded, ExclusionRule, Person, Proportion, Published, StageEffect, permutation};
use crate::display::{Align, Bundle, Figure, LinePlot, Show, Table};
use crate::{Error, Result};

const NATURAL: &str = "natural";
/// Above this many times the usual, the time between two frames means that one was left out.
const DROPPED: f64 = 1.5;

/// An analysis being put together; [`Analysis::run`] makes it.
#[derive(Clone, Debug)]
pub struct Analysis {
    answers: Answers,
    rule: ExclusionRule,
    network: Option<(String, Vec<(String, f64)>)>,
    published: Vec<Published>,
    seed: u64,
}

impl Analysis {
    /// An analysis of these answers by the usual rule of exclusion.
    pub fn new(answers: Answers) -> Self {
        Self { answers, rule: ExclusionRule::default(), network: None, published: vec![], seed: 0 }
    }

    /// Leaves people out by this rule.
    pub fn exclude(mut self, rule: ExclusionRule) -> Self {
        self.rule = rule;
        self
    }

    /// Adds the network's own proportion correct on the same stimuli, by condition, as a dashed line.
    pub fn network<T: Into<String>>(
        mut self,
        name: impl Into<String>,
        proportions: impl IntoIterator<Item = (T, f64)>,
    ) -> Self {
        self.network = Some((name.into(), proportions.into_iter().map(|(name, p)| (name.into(), p)).collect()));
        self
    }

    /// Adds published human means as a series: at the names of their stages where the class had the same, else spread by relative depth.
    pub fn published(mut self, published: Published) -> Self {
        self.published.push(published);
        self
    }

    /// What the bootstrap draws from: 0 unless said otherwise.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Leaves people out, and computes the proportions.
    ///
    /// Trials count that were answered and shown undisturbed ([`Answer::counts`](super::Answer::counts)).
    ///
    /// # Errors
    /// [`Error::Invalid`] without a trial that counts, with everybody excluded, and for proportions outside of `[0, 1]`; [`Error::Unknown`] for a
    /// condition of the network's that the class did not have.
    pub fn run(self) -> Result<Recognition> {
        self.rule.check()?;
        let conditions = self.answers.conditions();
        let index = |name: &str| conditions.iter().position(|known| known == name);
        let network = self.network.map(|(name, proportions)| {
            let mut points = vec![];
            for (condition, p) in proportions {
                let place = index(&condition)
                    .ok_or_else(|| Error::unknown("condition", &condition, conditions.iter().map(String::as_str)))?;
                if !(0.0..=1.0).contains(&p) {
                    return Err(Error::invalid(condition, format!("a proportion correct lies in [0, 1], got {p}")));
                }
                points.push((place, p));
            }
            points.sort_by_key(|(place, _)| *place);
            Ok((name, points))
        });
        let network = network.transpose()?;
        let everybody = self.answers.people();
        let excluded: Vec<Excluded> = everybody.iter().filter_map(|person| self.rule.excludes(person)).collect();
        let people: Vec<&Person> =
            everybody.iter().filter(|person| excluded.iter().all(|out| out.session != person.session)).collect();
        let counts: Vec<Vec<(usize, usize)>> = people.iter().map(|person| counted(person, &conditions)).collect();
        let proportion = |(k, name): (usize, &String)| {
            let of: Vec<(usize, usize)> = counts.iter().map(|person| person[k]).collect();
            Proportion::of(name, &of, self.seed)
        };
        let proportions: Vec<Proportion> = conditions.iter().enumerate().filter_map(proportion).collect();
        if proportions.is_empty() {
            let reason = match (everybody.len(), excluded.len()) {
                (0, _) => "hold nobody".to_owned(),
                (all, out) if all == out => format!("hold nobody who is not excluded ({})", self.rule),
                _ => "hold no trial that was answered and shown undisturbed".to_owned(),
            };
            return Err(Error::invalid("answers", reason));
        }
        let main = || people.iter().flat_map(|person| &person.answers).filter(|answer| answer.block == Block::Main);
        Ok(Recognition {
            proportions,
            chance: 1.0 / everybody[0].choices as f64,
            people: people.len(),
            rule: self.rule,
            excluded,
            disturbed: main().filter(|answer| !answer.counts()).count(),
            dropped: main()
                .filter(|a| a.longest_frame_ms.zip(a.frame_ms).is_some_and(|(l, f)| l > DROPPED * f))
                .count(),
            simulated: people.iter().any(|person| person.simulated),
            network,
            published: self.published,
            conditions,
            counts,
        })
    }
}

/// Of each condition, how many answers of a person were right, and how many count.
fn counted(person: &Person, conditions: &[String]) -> Vec<(usize, usize)> {
    let mut counts = vec![(0, 0); conditions.len()];
    for answer in person.answers.iter().filter(|answer| answer.block == Block::Main && answer.counts()) {
        if let Some(place) = conditions.iter().position(|name| *name == answer.condition) {
            counts[place].0 += usize::from(answer.is_correct() == Some(true));
            counts[place].1 += 1;
        }
    }
    counts
}

/// What a class recognised: proportion correct by condition, with what it is compared to. In a notebook a plot and a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognition {
    proportions: Vec<Proportion>,
    chance: f64,
    people: usize,
    rule: ExclusionRule,
    excluded: Vec<Excluded>,
    disturbed: usize,
    dropped: usize,
    simulated: bool,
    network: Option<(String, Vec<(usize, f64)>)>,
    published: Vec<Published>,
    conditions: Vec<String>,
    /// Of each person and condition, right answers and trials.
    counts: Vec<Vec<(usize, usize)>>,
}

impl Recognition {
    /// The conditions in their order, with what people recognised under each.
    pub fn proportions(&self) -> &[Proportion] {
        &self.proportions
    }

    /// The proportion correct of guessing.
    pub fn chance(&self) -> f64 {
        self.chance
    }

    /// How many people are in it.
    pub fn people(&self) -> usize {
        self.people
    }

    /// Who was left out, and why.
    pub fn excluded(&self) -> &[Excluded] {
        &self.excluded
    }

    /// Whether any of the answers were made up by a computer.
    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// Tests whether proportions differ between the stages: all conditions but `natural`. 10,000 permutations are usual.
    ///
    /// # Errors
    /// As [`Recognition::effect_among`].
    pub fn stage_effect(&self, permutations: usize, seed: u64) -> Result<StageEffect> {
        self.effect_among(self.conditions.iter().filter(|name| *name != NATURAL), permutations, seed)
    }

    /// Tests whether proportions differ between these conditions. People who lack a trial under one of them are left out.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a condition that the class did not have; [`Error::Invalid`] without permutations, and as
    /// [`RepeatedMeasures::of`](super::RepeatedMeasures::of).
    pub fn effect_among<T: AsRef<str>>(
        &self,
        conditions: impl IntoIterator<Item = T>,
        permutations: usize,
        seed: u64,
    ) -> Result<StageEffect> {
        let mut places = vec![];
        for name in conditions {
            let name = name.as_ref();
            let known = self.conditions.iter().position(|known| known == name);
            let place =
                known.ok_or_else(|| Error::unknown("condition", name, self.conditions.iter().map(String::as_str)))?;
            if places.contains(&place) {
                return Err(Error::invalid("conditions", format!("\"{name}\" is there twice")));
            }
            places.push(place);
        }
        let row = |person: &Vec<(usize, usize)>| -> Option<Vec<f64>> {
            let part = |&place: &usize| match person[place] {
                (_, 0) => None,
                (right, trials) => Some(right as f64 / trials as f64),
            };
            places.iter().map(part).collect()
        };
        let scores: Vec<Vec<f64>> = self.counts.iter().filter_map(row).collect();
        let (statistic, p) = permutation::test(&scores, permutations, seed)?;
        Ok(StageEffect {
            statistic,
            p,
            permutations,
            seed,
            conditions: places.into_iter().map(|place| self.conditions[place].clone()).collect(),
            people: scores.len(),
            incomplete: self.counts.len() - scores.len(),
            simulated: self.simulated,
        })
    }

    fn title(&self) -> String {
        let (people, bars) = match self.people {
            1 => ("1 person".to_owned(), ""),
            n => (format!("{n} people"), ", mean ± SEM"),
        };
        match self.simulated {
            true => format!("Simulated answers: recognised by {people}{bars}"),
            false => format!("Recognised by {people}{bars}"),
        }
    }

    /// Proportion correct by condition with the SEM over people, chance, the network (dashed) and the published means.
    pub fn plot(&self) -> LinePlot {
        let place = |name: &str| self.conditions.iter().position(|known| known == name).unwrap_or(0) as f64;
        let bar = |found: &Proportion| {
            let sem = found.sem.unwrap_or(f64::NAN);
            (place(&found.condition), found.mean, found.mean - sem, found.mean + sem)
        };
        let class = if self.simulated { "simulated class" } else { "class" };
        let mut plot = LinePlot::new(self.title())
            .x_label("condition")
            .y_label("proportion correct")
            .x_names(self.conditions.clone())
            .y_range(0.0, 1.0)
            .error_bars(class, self.proportions.iter().map(bar).collect());
        if let Some((name, points)) = &self.network {
            plot = plot.dashed(name, points.iter().map(|(place, p)| (*place as f64, *p)).collect());
        }
        for published in &self.published {
            let (points, by_name) = published.placed(&self.conditions);
            let by = if by_name { "" } else { ", by relative depth" };
            plot = plot.series(format!("people, {} (Feather et al. 2023{by})", published.network()), points);
        }
        plot.reference_line(self.chance, format!("chance, 1 of {:.0}", 1.0 / self.chance))
    }

    /// Mean, SEM, interval and numbers by condition, and who was left out.
    pub fn table(&self) -> Table {
        let excluded: Vec<String> =
            self.excluded.iter().map(|out| format!("{} ({})", out.person, out.reason)).collect();
        let mut caption =
            format!("{}. 95 % intervals by bootstrap over people. {}: ", self.title(), capital(&self.rule));
        caption += &if excluded.is_empty() { "nobody".to_owned() } else { excluded.join(", ") };
        caption += ".";
        if self.disturbed > 0 {
            caption += &format!(" {} trials do not count: disturbed or unanswered.", self.disturbed);
        }
        if self.dropped > 0 {
            caption += &format!(" In {} trials the screen left out a frame.", self.dropped);
        }
        let mut headers: Vec<String> =
            ["condition", "proportion correct", "SEM", "95 % interval", "people", "trials"].map(String::from).into();
        let named: Vec<(&Published, Vec<(f64, f64)>)> = self
            .published
            .iter()
            .map(|each| (each, each.placed(&self.conditions)))
            .filter(|(_, (_, by))| *by)
            .map(|(each, (points, _))| (each, points))
            .collect();
        headers.extend(self.network.iter().map(|(name, _)| name.clone()));
        headers.extend(named.iter().map(|(published, _)| format!("published, {}", published.network())));
        let sides = [Align::Left].into_iter().chain(headers.iter().skip(1).map(|_| Align::Right));
        let mut table = Table::new(headers.clone()).align(sides.collect::<Vec<_>>()).caption(caption);
        let three = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
        for found in &self.proportions {
            let place = self.conditions.iter().position(|name| *name == found.condition).unwrap_or(0);
            let interval = found.interval.map_or("–".into(), |(low, high)| format!("{low:.3} to {high:.3}"));
            let mut cells = vec![found.condition.clone(), three(Some(found.mean)), three(found.sem), interval];
            cells.extend([found.people.to_string(), found.trials.to_string()]);
            cells.extend(
                self.network
                    .iter()
                    .map(|(_, points)| three(points.iter().find(|(at, _)| *at == place).map(|(_, p)| *p))),
            );
            cells.extend(
                named
                    .iter()
                    .map(|(_, points)| three(points.iter().find(|(at, _)| *at == place as f64).map(|(_, mean)| *mean))),
            );
            table.push(cells);
        }
        table
    }
}

fn capital(rule: &ExclusionRule) -> String {
    let text = rule.to_string();
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

impl Show for Recognition {
    fn bundles(&self) -> Vec<Bundle> {
        let plot = self.plot();
        let text = format!("{}\n{}", self.title(), plot.words().join("\n"));
        // Names of many conditions need room to stand beside each other.
        let width = if self.conditions.len() > 7 { 900.0 } else { 600.0 };
        let figure = Figure::new(plot.alt()).width(width).row([plot]).bundle(text);
        let mut bundles = vec![figure];
        bundles.extend(self.table().bundles());
        bundles
    }
}

crate::show_in_notebooks!(Recognition);
