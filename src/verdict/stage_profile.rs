//! The match at the stages that were not matched.

use super::NullDistribution;
use crate::display::{Align, Figure, LinePlot, MimeBundle, Panel, Show, Table};
use crate::network::Network;
use crate::ops::values;
use crate::similarity::Similarity;
use crate::synthesis::Metamer;
use crate::{Error, Result};

/// How alike original and metamer are at one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageMatch {
    /// The stage.
    pub stage: String,
    /// How alike the activations are.
    pub similarity: Similarity,
    /// The largest SNR by chance at this stage in dB, if a null distribution was given that has it.
    pub chance_snr_db: Option<f64>,
}

/// How alike original and metamer are at every stage: before the matched one they differ, after it they follow.
#[derive(Clone, PartialEq)]
pub struct StageProfile {
    network: String,
    matched: Option<usize>,
    stages: Vec<StageMatch>,
}

impl Metamer {
    /// The match at every stage of a network: the one that it was made for, or another that takes such stimuli.
    ///
    /// With a `null` of that network, the plot shows what chance reaches.
    ///
    /// # Errors
    /// A network that takes other stimuli, or a null of another network.
    pub fn at_every_stage(&self, network: &Network, null: Option<&NullDistribution>) -> Result<StageProfile> {
        let weights = &network.weights_source().weights_sha256;
        if let Some(null) = null
            && (null.weights_sha256() != weights || null.network() != network.name())
        {
            let reason = format!(
                "is of {} of weights {}, and the stages are those of {} of weights {weights}; take one of the latter: NullDistribution::shipped(&net)",
                null.network(),
                null.weights_sha256(),
                network.name()
            );
            return Err(Error::invalid("null distribution", reason));
        }
        let names: Vec<&str> = network.stages().iter().map(|s| s.name.as_str()).collect();
        let run = |stimulus: &crate::stimulus::Stimulus| {
            network.forward_to_each(&names, &network.prepare(stimulus)?.to_tensor()?)
        };
        let (original, metamer) = (run(self.original())?, run(self.stimulus())?);
        let stages = names.iter().zip(original.iter().zip(&metamer)).map(|(name, (a, b))| {
            Ok(StageMatch {
                stage: (*name).into(),
                similarity: Similarity::between(&values(a)?, &values(b)?)?,
                chance_snr_db: null.and_then(|null| null.stage(name).ok()).map(|stage| stage.snr_db.max()),
            })
        });
        let same = *weights == self.provenance().weights_sha256 && network.name() == self.provenance().network;
        let matched = same.then(|| names.iter().position(|name| *name == self.provenance().stage)).flatten();
        Ok(StageProfile { network: network.name().into(), matched, stages: stages.collect::<Result<_>>()? })
    }
}

impl StageProfile {
    /// Each stage, in the network's order.
    pub fn stages(&self) -> &[StageMatch] {
        &self.stages
    }

    /// The stage that the metamer was made for, when the network is its own.
    pub fn matched(&self) -> Option<&StageMatch> {
        self.stages.get(self.matched?)
    }

    /// The values as a table.
    pub fn table(&self) -> Table {
        let number = |v: Option<f64>, digits: usize| v.map_or("undefined".into(), |v| format!("{v:.digits$}"));
        let mut table = Table::new(["stage", "ρ", "r", "SNR (dB)", "chance, at most (dB)"])
            .align([Align::Left, Align::Right, Align::Right, Align::Right, Align::Right])
            .caption(format!("{}: original and metamer at every stage", self.network));
        for (index, StageMatch { stage, similarity, chance_snr_db }) in self.stages.iter().enumerate() {
            let mark = if self.matched == Some(index) { " (matched)" } else { "" };
            table.push([
                format!("{stage}{mark}"),
                number(similarity.spearman, 3),
                number(similarity.pearson, 3),
                number(similarity.snr_db, 1),
                chance_snr_db.map_or(String::new(), |snr| format!("{snr:.1}")),
            ]);
        }
        table
    }

    /// The SNR over the stages.
    pub fn plot(&self) -> LinePlot {
        let at = |index: usize, snr: Option<f64>| Some((index as f64, snr.filter(|snr| snr.is_finite())?));
        let points = |of: fn(&StageMatch) -> Option<f64>| -> Vec<(f64, f64)> {
            self.stages.iter().enumerate().filter_map(|(index, stage)| at(index, of(stage))).collect()
        };
        let mut plot = LinePlot::new("the match at every stage")
            .y_label("SNR (dB)")
            .x_names(self.stages.iter().map(|s| s.stage.clone()))
            .series("metamer", points(|s| s.similarity.snr_db));
        let chance = points(|s| s.chance_snr_db);
        if !chance.is_empty() {
            plot = plot.series("chance, at most", chance);
        }
        if let Some((index, snr)) = self.matched.and_then(|index| at(index, self.stages[index].similarity.snr_db)) {
            plot = plot.points("matched here", vec![(index, snr)]);
        }
        plot
    }
}

impl std::fmt::Debug for StageProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StageProfile({}, {} stages)", self.network, self.stages.len())
    }
}

impl Show for StageProfile {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let matched = self.matched().map_or(String::new(), |s| format!(", made for {}", s.stage));
        let alt = format!("Signal-to-noise ratio of a metamer{matched} at every stage of {}", self.network);
        let figure = Figure::new(alt).row([Panel::from(self.plot())]);
        vec![figure.bundle(self.table().mime_bundles()[0].plain())]
    }
}

crate::show_in_notebooks!(StageProfile);
