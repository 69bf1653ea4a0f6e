//! The match of a metamer at every stage of a network.

use super::NullDistribution;
use crate::display::{Align, Figure, LinePlot, MimeBundle, Panel, Show, Table};
use crate::network::Network;
use crate::ops::values;
use crate::similarity::Similarity;
use crate::synthesis::Metamer;
use crate::{Error, Result};

/// The similarity of original and metamer at one stage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StageMatch {
    /// The stage's name.
    pub stage: String,
    /// The similarity of the activations.
    pub similarity: Similarity,
    /// The largest SNR in the null distribution at this stage, in dB; `None` without a null distribution for it.
    pub null_max_snr_db: Option<f64>,
}

/// The similarity of original and metamer at every stage: stages before the matched one differ, later ones match.
///
/// ```no_run
/// # use metamers::prelude::*;
/// let net = zoo::efficientnet_lite0()?;
/// let metamer = Metamer::open("dog.metamer")?;
/// metamer.stage_profile(&net, Some(&NullDistribution::shipped(&net)?))?.show();
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct StageProfile {
    network: String,
    matched: Option<usize>,
    stages: Vec<StageMatch>,
}

impl Metamer {
    /// Compares original and metamer at every stage of a network: its own, or another that accepts the stimuli.
    ///
    /// With a null distribution of that network, the plot also shows the largest SNR between natural stimuli.
    ///
    /// # Errors
    /// Fails for a network that does not accept these stimuli, and for a null distribution of another network.
    pub fn stage_profile(&self, network: &Network, null: Option<&NullDistribution>) -> Result<StageProfile> {
        let weights = &network.weights_source().weights_sha256;
        if let Some(null) = null
            && (null.weights_sha256() != weights || null.network() != network.name())
        {
            let reason = format!(
                "belongs to {} with weights {}, but the stages belong to {} with weights {weights}; use NullDistribution::shipped(&net)",
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
                null_max_snr_db: null.and_then(|null| null.stage(name).ok()).map(|stage| stage.snr_db.max()),
            })
        });
        let same = *weights == self.provenance().weights_sha256 && network.name() == self.provenance().network;
        let matched = same.then(|| names.iter().position(|name| *name == self.provenance().stage)).flatten();
        Ok(StageProfile { network: network.name().into(), matched, stages: stages.collect::<Result<_>>()? })
    }
}

impl StageProfile {
    /// The stages, in the network's order.
    #[must_use]
    pub fn stages(&self) -> &[StageMatch] {
        &self.stages
    }

    /// The matched stage; `None` for a network that the metamer was not synthesised for.
    #[must_use]
    pub fn matched(&self) -> Option<&StageMatch> {
        self.stages.get(self.matched?)
    }

    /// The values as a table.
    pub fn table(&self) -> Table {
        let number = |v: Option<f64>, digits: usize| v.map_or("undefined".into(), |v| format!("{v:.digits$}"));
        let mut table = Table::new(["stage", "ρ", "r", "SNR (dB)", "null maximum (dB)"])
            .align([Align::Left, Align::Right, Align::Right, Align::Right, Align::Right])
            .caption(format!("{}: similarity of original and metamer at every stage", self.network));
        for (index, StageMatch { stage, similarity, null_max_snr_db }) in self.stages.iter().enumerate() {
            let mark = if self.matched == Some(index) { " (matched)" } else { "" };
            table.push([
                format!("{stage}{mark}"),
                number(similarity.spearman, 3),
                number(similarity.pearson, 3),
                number(similarity.snr_db, 1),
                null_max_snr_db.map_or(String::new(), |snr| format!("{snr:.1}")),
            ]);
        }
        table
    }

    /// A plot of the SNR at each stage.
    pub fn plot(&self) -> LinePlot {
        let point = |index: usize, snr: Option<f64>| Some((index as f64, snr.filter(|snr| snr.is_finite())?));
        let points = |measure: fn(&StageMatch) -> Option<f64>| -> Vec<(f64, f64)> {
            self.stages.iter().enumerate().filter_map(|(index, stage)| point(index, measure(stage))).collect()
        };
        let mut plot = LinePlot::new("match at every stage")
            .y_label("SNR (dB)")
            .x_names(self.stages.iter().map(|s| s.stage.clone()))
            .series("metamer", points(|s| s.similarity.snr_db));
        let null_max = points(|s| s.null_max_snr_db);
        if !null_max.is_empty() {
            plot = plot.series("null maximum", null_max);
        }
        if let Some((index, snr)) = self.matched.and_then(|index| point(index, self.stages[index].similarity.snr_db)) {
            plot = plot.points("matched stage", vec![(index, snr)]);
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
        let matched = self.matched().map_or(String::new(), |s| format!(", matched at {},", s.stage));
        let alt = format!("Signal-to-noise ratio of a metamer{matched} at every stage of {}", self.network);
        let figure = Figure::new(alt).row([Panel::from(self.plot())]);
        vec![figure.bundle(self.table().mime_bundles()[0].plain())]
    }
}

crate::show_in_notebooks!(StageProfile);
