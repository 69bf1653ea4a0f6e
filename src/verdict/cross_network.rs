//! Metamers of one network, judged by others.

use std::collections::HashMap;

use crate::display::{Align, Figure, LinePlot, MimeBundle, Panel, Show, Table};
use crate::interrupt::Listening;
use crate::network::Network;
use crate::similarity::Proportion;
use crate::stimulus::Stimulus;
use crate::synthesis::Metamer;
use crate::{Error, Result};

/// How often one network gives the metamers of another the class that it gives their originals.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Agreement {
    /// The network that the metamers were made for.
    pub maker: String,
    /// The recipe that they were made by.
    pub recipe: String,
    /// The stage that they match.
    pub stage: String,
    /// The network that judges.
    pub judge: String,
    /// Metamers that the judge gives the same class as their original, of all.
    pub same_class: Proportion,
}

/// Metamers of networks, judged by networks, stage by stage: does one network share the invariances of another?
///
/// A judge recognises a metamer when it gives it the class that it gives the original, right or wrong: so a judge that is worse
/// at natural stimuli is not punished twice. Leave failed metamers out, as the experiments with people do; and note that
/// an untrained judge gives nearly everything the same class.
///
/// ```no_run
/// # use metamers::prelude::*;
/// # let metamers: Vec<Metamer> = vec![];
/// let judges = [zoo::cochcnn_words()?, zoo::cochcnn_words_hann()?];
/// CrossNetwork::of(&metamers, &judges)?.show();
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CrossNetwork {
    cells: Vec<Agreement>,
}

impl CrossNetwork {
    /// Lets every judge classify every metamer and its original.
    ///
    /// Makers, recipes and stages are those of the metamers' stamps, in the order in which they come.
    ///
    /// # Errors
    /// No metamer, no judge, a judge that is no classifier or takes other stimuli; [`Error::Interrupted`].
    pub fn new(metamers: &[Metamer], judges: &[Network]) -> Result<Self> {
        if metamers.is_empty() || judges.is_empty() {
            return Err(Error::invalid("cross-network matrix", "needs at least one metamer and one judge"));
        }
        let listening = Listening::begin();
        let mut cells: Vec<(Agreement, usize)> = vec![];
        for (judged, judge) in judges.iter().enumerate() {
            let mut known: HashMap<Vec<u32>, usize> = HashMap::new();
            let begin = cells.len();
            for (index, metamer) in metamers.iter().enumerate() {
                if listening.interrupted() {
                    let (done, all) = (judged * metamers.len() + index, judges.len() * metamers.len());
                    return Err(Error::interrupted("cross-network matrix", format!("{done} of {all} judgements")));
                }
                let class = |stimulus: &Stimulus| -> Result<usize> { Ok(judge.classify(stimulus, 1)?.top().class) };
                // Many metamers share an original.
                let bits = metamer.original().values().iter().map(|v| v.to_bits()).collect();
                let original = match known.get(&bits) {
                    Some(&original) => original,
                    None => *known.entry(bits).or_insert(class(metamer.original())?),
                };
                let same = class(metamer.stimulus())? == original;
                let stamp = metamer.provenance();
                let is_here = |(cell, _): &&mut (Agreement, usize)| {
                    (&cell.maker, &cell.recipe, &cell.stage) == (&stamp.network, &stamp.recipe.name, &stamp.stage)
                };
                let (hits, total) = match cells[begin..].iter_mut().find(is_here) {
                    Some((cell, hits)) => {
                        *hits += usize::from(same);
                        cell.same_class = Proportion::new(*hits, cell.same_class.total() + 1)?;
                        continue;
                    }
                    None => (usize::from(same), 1),
                };
                let cell = Agreement {
                    maker: stamp.network.clone(),
                    recipe: stamp.recipe.name.clone(),
                    stage: stamp.stage.clone(),
                    judge: judge.name().into(),
                    same_class: Proportion::new(hits, total)?,
                };
                cells.push((cell, hits));
            }
        }
        Ok(Self { cells: cells.into_iter().map(|(cell, _)| cell).collect() })
    }

    /// Each maker, recipe, stage and judge.
    pub fn cells(&self) -> &[Agreement] {
        &self.cells
    }

    /// The different values of a cell's field, in their order.
    fn different(&self, of: impl Fn(&Agreement) -> String) -> Vec<String> {
        let mut found: Vec<String> = vec![];
        for value in self.cells.iter().map(of) {
            if !found.contains(&value) {
                found.push(value);
            }
        }
        found
    }

    /// One row a maker, recipe and stage, one column a judge: hits of all, with Wilson's 95 % interval.
    pub fn table(&self) -> Table {
        let judges = self.different(|c| c.judge.clone());
        let headers = ["metamers of", "recipe", "stage"].map(String::from).into_iter();
        let align = [Align::Left; 3].into_iter().chain(vec![Align::Right; judges.len()]);
        let mut table = Table::new(headers.chain(judges.iter().map(|j| format!("judged by {j}"))))
            .align(align)
            .caption("metamers that get the class of their original: how many (Wilson's 95 % interval)");
        for row in self.different(|c| format!("{}\n{}\n{}", c.maker, c.recipe, c.stage)) {
            let mut line: Vec<String> = row.split('\n').map(Into::into).collect();
            for judge in &judges {
                let is_here = |c: &&Agreement| {
                    c.judge == *judge && [&c.maker, &c.recipe, &c.stage].into_iter().eq(line[..3].iter())
                };
                let cell = self.cells.iter().find(is_here).map_or(String::new(), |c| c.same_class.to_string());
                line.push(cell);
            }
            table.push(line);
        }
        table
    }

    /// One plot a maker and recipe: the fraction over the stages, a line a judge.
    pub fn plots(&self) -> Vec<LinePlot> {
        let stages = self.different(|c| c.stage.clone());
        let place = |stage: &String| stages.iter().position(|s| s == stage).unwrap_or(0) as f64;
        let makers = self.different(|c| format!("{}, {}", c.maker, c.recipe));
        let plot = |maker: &String| {
            let mut plot = LinePlot::new(format!("metamers of {maker}"))
                .x_names(stages.clone())
                .y_label("fraction with the original's class")
                .y_range(0.0, 1.0);
            for judge in self.different(|c| c.judge.clone()) {
                let here = |c: &&Agreement| c.judge == judge && format!("{}, {}", c.maker, c.recipe) == *maker;
                let points = self.cells.iter().filter(here).filter_map(|c| {
                    let [low, high] = c.same_class.interval();
                    Some((place(&c.stage), c.same_class.value()?, low, high))
                });
                let points = points.collect();
                plot = plot.error_bars(judge, points);
            }
            plot
        };
        makers.iter().map(plot).collect()
    }
}

impl std::fmt::Debug for CrossNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CrossNetwork({} cells)", self.cells.len())
    }
}

impl Show for CrossNetwork {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let judges = self.different(|c| c.judge.clone()).join(", ");
        let mut figure = Figure::new(format!("How often metamers get the class of their original from {judges}"));
        for plots in self.plots().chunks(2) {
            figure.push(plots.iter().cloned().map(Panel::from));
        }
        vec![figure.bundle(figure.words()), self.table().mime_bundles().remove(0)]
    }
}

crate::show_in_notebooks!(CrossNetwork);
