//! Cross-network recognition: metamers of one network, classified by others.

use std::collections::HashMap;

use crate::display::{Align, Figure, LinePlot, MimeBundle, Panel, Show, Table};
use crate::interrupt::Listening;
use crate::network::Network;
use crate::similarity::Proportion;
use crate::stimulus::Stimulus;
use crate::synthesis::{Metamer, Provenance};
use crate::{Error, Result};

/// The proportion of one network's metamers that another network assigns to the class of their originals.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Agreement {
    /// The network that the metamers were synthesised for; of several with the same name, with the first digits of the weights' SHA-256.
    #[serde(rename = "maker")]
    pub network: String,
    /// The name of the recipe; of several with the same name, with a number.
    pub recipe: String,
    /// The matched stage.
    pub stage: String,
    /// The network that classifies the metamers, named as the networks above.
    pub judge: String,
    /// The proportion of metamers that the judge assigns to the class of their original.
    pub same_class: Proportion,
}

/// Cross-network recognition of metamers at each stage, which tests whether networks share invariances.
///
/// A judge recognises a metamer when it assigns it to the same class as the original, even if that class is wrong. A judge that
/// is less accurate on natural stimuli is therefore not penalised twice. Exclude failed metamers, as experiments with human
/// participants do. An untrained judge assigns nearly every stimulus to the same class.
///
/// ```no_run
/// # use metamers::prelude::{networks::*, *};
/// # let metamers: Vec<Metamer> = vec![];
/// let judges = [zoo::cochcnn_words()?, zoo::cochcnn_words_hann()?];
/// CrossNetwork::new(&metamers, &judges)?.show();
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CrossNetwork {
    cells: Vec<Agreement>,
}

impl CrossNetwork {
    /// Classifies every metamer and its original with every judge.
    ///
    /// Makers, recipes and stages come from the metamers' provenance and keep the order of the metamers.
    ///
    /// # Errors
    /// Fails without a metamer or a judge, for a judge that is not a classifier or does not accept these stimuli, and with
    /// [`Error::Interrupted`].
    pub fn new(metamers: &[Metamer], judges: &[Network]) -> Result<Self> {
        if metamers.is_empty() || judges.is_empty() {
            return Err(Error::invalid("cross-network matrix", "requires at least one metamer and one judge"));
        }
        let listening = Listening::begin();
        let provenances: Vec<&Provenance> = metamers.iter().map(Metamer::provenance).collect();
        let makers = provenances.iter().map(|p| (&*p.network, &p.weights_sha256));
        let recipes = labels(provenances.iter().map(|p| (&*p.recipe.name, &p.recipe)), |number, _| number.to_string());
        let weights = judges.iter().map(|judge| (judge.name(), &judge.weights_source().weights_sha256));
        let mut makers = network_labels(makers.chain(weights));
        let judge_names = makers.split_off(metamers.len());
        let mut cells: Vec<(Agreement, usize)> = vec![];
        for (judge_index, judge) in judges.iter().enumerate() {
            let mut original_classes: HashMap<Vec<u32>, usize> = HashMap::new();
            let first_cell = cells.len();
            for (index, metamer) in metamers.iter().enumerate() {
                if listening.interrupted() {
                    let (done, all) = (judge_index * metamers.len() + index, judges.len() * metamers.len());
                    return Err(Error::interrupted("cross-network matrix", format!("{done} of {all} classifications")));
                }
                let class = |stimulus: &Stimulus| -> Result<usize> { Ok(judge.classify(stimulus, 1)?.top().class) };
                // Metamers often share an original, so its class is cached.
                let key = metamer.original().values().iter().map(|v| v.to_bits()).collect();
                let original = match original_classes.get(&key) {
                    Some(&original) => original,
                    None => *original_classes.entry(key).or_insert(class(metamer.original())?),
                };
                let same = class(metamer.stimulus())? == original;
                let stage = &metamer.provenance().stage;
                let matches = |(cell, _): &&mut (Agreement, usize)| {
                    (&cell.network, &cell.recipe, &cell.stage) == (&makers[index], &recipes[index], stage)
                };
                let (hits, total) = match cells[first_cell..].iter_mut().find(matches) {
                    Some((cell, hits)) => {
                        *hits += usize::from(same);
                        cell.same_class = Proportion::new(*hits, cell.same_class.total() + 1)?;
                        continue;
                    }
                    None => (usize::from(same), 1),
                };
                let cell = Agreement {
                    network: makers[index].clone(),
                    recipe: recipes[index].clone(),
                    stage: stage.clone(),
                    judge: judge_names[judge_index].clone(),
                    same_class: Proportion::new(hits, total)?,
                };
                cells.push((cell, hits));
            }
        }
        Ok(Self { cells: cells.into_iter().map(|(cell, _)| cell).collect() })
    }

    /// One cell for each combination of maker, recipe, stage and judge.
    #[must_use]
    pub fn cells(&self) -> &[Agreement] {
        &self.cells
    }

    /// The distinct values of a cell's field, in order of first occurrence.
    fn distinct(&self, field: impl Fn(&Agreement) -> String) -> Vec<String> {
        let mut found: Vec<String> = vec![];
        for value in self.cells.iter().map(field) {
            if !found.contains(&value) {
                found.push(value);
            }
        }
        found
    }

    /// A table with a row for each maker, recipe and stage and a column for each judge: proportions with Wilson 95 % intervals.
    pub fn table(&self) -> Table {
        let judges = self.distinct(|c| c.judge.clone());
        let headers = ["metamers of", "recipe", "stage"].map(String::from).into_iter();
        let align = [Align::Left; 3].into_iter().chain(vec![Align::Right; judges.len()]);
        let mut table = Table::new(headers.chain(judges.iter().map(|j| format!("judged by {j}"))))
            .align(align)
            .caption("metamers classified as their original (Wilson 95 % interval)");
        for row in self.distinct(|c| format!("{}\n{}\n{}", c.network, c.recipe, c.stage)) {
            let mut line: Vec<String> = row.split('\n').map(Into::into).collect();
            for judge in &judges {
                let matches = |c: &&Agreement| {
                    c.judge == *judge && [&c.network, &c.recipe, &c.stage].into_iter().eq(line[..3].iter())
                };
                let cell = self.cells.iter().find(matches).map_or(String::new(), |c| c.same_class.to_string());
                line.push(cell);
            }
            table.push(line);
        }
        table
    }

    /// One plot for each maker and recipe: the proportion recognised at each stage, with a line for each judge.
    #[must_use]
    pub fn plots(&self) -> Vec<LinePlot> {
        let stages = self.distinct(|c| c.stage.clone());
        let position = |stage: &String| stages.iter().position(|s| s == stage).unwrap_or(0) as f64;
        let makers = self.distinct(|c| format!("{}, {}", c.network, c.recipe));
        let plot = |maker: &String| {
            let mut plot = LinePlot::new(format!("metamers of {maker}"))
                .x_names(stages.clone())
                .y_label("proportion classified as the original")
                .y_range(0.0, 1.0);
            for judge in self.distinct(|c| c.judge.clone()) {
                let matches = |c: &&Agreement| c.judge == judge && format!("{}, {}", c.network, c.recipe) == *maker;
                let points = self.cells.iter().filter(matches).filter_map(|c| {
                    let [low, high] = c.same_class.interval();
                    Some((position(&c.stage), c.same_class.value()?, low, high))
                });
                let points = points.collect();
                plot = plot.error_bars(judge, points);
            }
            plot
        };
        makers.iter().map(plot).collect()
    }
}

/// The names of networks, given with the SHA-256 of their weights: of several networks with the same name, with its first digits.
pub(crate) fn network_labels<'a>(networks: impl Iterator<Item = (&'a str, &'a String)>) -> Vec<String> {
    labels(networks, |_, sha256| sha256.chars().take(8).collect())
}

/// The names, each with a suffix if several different things have it: `suffix` of the number of the thing among those, from 1, and of the
/// thing.
fn labels<'a, K: PartialEq + 'a>(
    named: impl Iterator<Item = (&'a str, &'a K)>,
    suffix: impl Fn(usize, &K) -> String,
) -> Vec<String> {
    let named: Vec<(&str, &K)> = named.collect();
    let mut different: Vec<(&str, &K)> = vec![];
    for thing in &named {
        if !different.contains(thing) {
            different.push(*thing);
        }
    }
    let label = |&(name, key): &(&str, &K)| {
        let same_name: Vec<&K> = different.iter().filter(|(other, _)| *other == name).map(|(_, key)| *key).collect();
        match same_name.iter().position(|other| *other == key) {
            Some(index) if same_name.len() > 1 => format!("{name} ({})", suffix(index + 1, key)),
            _ => name.to_owned(),
        }
    };
    named.iter().map(label).collect()
}

impl std::fmt::Debug for CrossNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CrossNetwork({} cells)", self.cells.len())
    }
}

impl Show for CrossNetwork {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let judges = self.distinct(|c| c.judge.clone()).join(", ");
        let mut figure = Figure::new(format!("Proportion of metamers classified as their original by {judges}"));
        for plots in self.plots().chunks(2) {
            figure.push(plots.iter().cloned().map(Panel::from));
        }
        vec![figure.bundle(figure.words()), self.table().mime_bundles().remove(0)]
    }
}

crate::show_in_notebooks!(CrossNetwork);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_things_with_one_name_have_different_labels() {
        let named = [("ResNet-50", "abc"), ("AlexNet", "abc"), ("ResNet-50", "def"), ("ResNet-50", "abc")];
        let found = labels(named.iter().map(|(name, key)| (*name, key)), |number, key| format!("{number}, {key}"));
        assert_eq!(found, ["ResNet-50 (1, abc)", "AlexNet", "ResNet-50 (2, def)", "ResNet-50 (1, abc)"]);
    }
}
