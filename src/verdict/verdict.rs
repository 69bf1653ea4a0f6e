//! The verdict on a metamer: its match against the null distribution, and its class.

use serde::{Deserialize, Serialize};

use super::{NullDistribution, Outcome};
use crate::display::{Align, MimeBundle, Show, Table, escape};
use crate::network::ClassScore;
use crate::similarity::{Distribution, WELL_MATCHED_DB};
use crate::synthesis::{Metamer, Prior};
use crate::{Error, Result};

/// The default quantile that the number of pairs in a null distribution must support.
const DEFAULT_QUANTILE: f64 = 0.999;

/// One measure of a match, compared with its null distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measure {
    /// The value; `None` if undefined, such as the correlation with a constant.
    #[serde(with = "crate::finite::json")]
    pub value: Option<f64>,
    /// The largest value over all pairs of the null distribution.
    #[serde(rename = "chance_at_most")]
    pub null_max: f64,
    /// The p-value, `(1 + pairs with at least this value) / (1 + pairs)`; 1 if the value is undefined. It is nominal, see
    /// [`Distribution::p_value`].
    pub p: f64,
}

impl Measure {
    fn new(value: Option<f64>, null: &Distribution) -> Self {
        Self { value, null_max: null.max(), p: value.map_or(1.0, |value| null.p_value(value)) }
    }

    /// Returns whether the value is larger than for every pair of natural stimuli.
    #[must_use]
    pub fn exceeds_null(&self) -> bool {
        self.value.is_some_and(|value| value > self.null_max)
    }
}

/// The verdict on a metamer, with the measures and classes that determine it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// The reason for the outcome, in a sentence.
    pub reason: String,
    /// The matched stage.
    pub stage: String,
    /// The network's class for the original; `None` if the network is not a classifier, in which case the match alone decides.
    pub original: Option<ClassScore>,
    /// The network's class for the metamer.
    pub metamer: Option<ClassScore>,
    /// Spearman's rho.
    pub spearman: Measure,
    /// Pearson's r.
    pub pearson: Measure,
    /// Signal-to-noise ratio in dB.
    pub snr_db: Measure,
    /// The number of pairs in the null distribution.
    pub pairs: usize,
    /// The requested quantile. It sets only the required number of pairs, `1 / (1 - quantile)`; whatever the quantile, the match must
    /// exceed the largest pair.
    pub quantile: f64,
    /// The highest quantile that this number of pairs supports, `1 - 1 / pairs`. It is nominal, because pairs share stimuli (the
    /// shipped 5,995 pairs come from 110 photos) and are not independent. The papers drew their pairs from a training set.
    pub supported_quantile: f64,
    /// `true` if the SNR is at least 20 dB. The null criterion is more lenient: most stages meet it at a lower SNR.
    pub well_matched: bool,
    /// The name of the recipe; empty in files of version 0.1.
    #[serde(default)]
    pub recipe: String,
    /// The content that the run gave the stimulus where the stage leaves it open ([`Metamer::prior`]).
    #[serde(default)]
    pub prior: Prior,
}

impl Metamer {
    /// Tests this metamer against a null distribution of at least 1,000 pairs.
    ///
    /// Rho, r and SNR must each be larger than for every pair of natural stimuli, and the class must be that of the original. Fewer
    /// than 1,000 pairs do not support the quantile 0.999 and give [`Outcome::NotEnoughEvidence`] at best. Feather et al. used
    /// 1,000,000 pairs.
    ///
    /// ```no_run
    /// # use metamers::prelude::*;
    /// # let net = zoo::efficientnet_lite0()?;
    /// # let metamer = Metamer::open("dog.metamer")?;
    /// let verdict = metamer.verdict(&NullDistribution::shipped(&net)?)?;
    /// println!("{}: {}", verdict.outcome, verdict.reason);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails for a null distribution of another network, of other weights, or without the matched stage, and for a metamer of anything
    /// else than one whole stage.
    pub fn verdict(&self, null: &NullDistribution) -> Result<Verdict> {
        self.verdict_at(null, DEFAULT_QUANTILE)
    }

    /// Like [`Metamer::verdict`], with another quantile: 0.95 requires at least 20 pairs, 0.999999 a million. Whatever the quantile, the
    /// match must exceed the largest pair.
    ///
    /// # Errors
    /// Fails like [`Metamer::verdict`], and for a quantile outside `[0.5, 1)`.
    pub fn verdict_at(&self, null: &NullDistribution, quantile: f64) -> Result<Verdict> {
        let provenance = self.provenance();
        if !(0.5..1.0).contains(&quantile) {
            return Err(Error::invalid(
                "quantile",
                format!("must be in [0.5, 1), got {quantile}; the usual value is 0.999"),
            ));
        }
        if null.weights_sha256() != provenance.weights_sha256 || null.network() != provenance.network {
            let reason = format!(
                "belongs to {} with weights {}, but the metamer belongs to {} with weights {}; use NullDistribution::shipped(&net), or \
                 NullDistribution::builder(&net) with your own stimuli",
                null.network(),
                null.weights_sha256(),
                provenance.network,
                provenance.weights_sha256
            );
            return Err(Error::invalid("null distribution", reason));
        }
        if provenance.matched.as_ref().is_some_and(|matched| matched.whole_stage().is_none()) {
            let reason = "has one distribution for each whole stage, but the metamer matches several stages, a part of one, or statistics; \
                          see Metamer::matches, or Metamer::stage_profile for whole stages";
            return Err(Error::invalid("null distribution", reason));
        }
        let stage_null = null.stage(&provenance.stage)?;
        let similarity = self.similarity();
        let pairs = stage_null.snr_db.count();
        let top = |classes: Option<&crate::network::Classification>| classes.map(|c| c.top().clone());
        let mut verdict = Verdict {
            outcome: Outcome::Metamer,
            reason: String::new(),
            stage: provenance.stage.clone(),
            original: top(self.original_class()),
            metamer: top(self.metamer_class()),
            spearman: Measure::new(similarity.spearman, &stage_null.spearman),
            pearson: Measure::new(similarity.pearson, &stage_null.pearson),
            snr_db: Measure::new(similarity.snr_db, &stage_null.snr_db),
            pairs,
            quantile,
            supported_quantile: 1.0 - 1.0 / pairs as f64,
            well_matched: similarity.snr_db.is_some_and(|snr| snr >= WELL_MATCHED_DB),
            recipe: provenance.recipe.name.clone(),
            prior: self.prior(),
        };
        (verdict.outcome, verdict.reason) = verdict.decide();
        Ok(verdict)
    }
}

impl Verdict {
    fn decide(&self) -> (Outcome, String) {
        let measures = [("ρ", self.spearman), ("r", self.pearson), ("SNR", self.snr_db)];
        let within_null: Vec<&str> =
            measures.iter().filter(|(_, m)| !m.exceeds_null()).map(|(name, _)| *name).collect();
        if !within_null.is_empty() {
            let reason = match within_null.as_slice() {
                [one] => format!("the {one} is within the range of pairs of natural stimuli"),
                several => format!("{} are within the range of pairs of natural stimuli", several.join(" and ")),
            };
            return (Outcome::NotYet, reason);
        }
        let matched = format!("the match exceeds that of all {} pairs of natural stimuli", self.pairs);
        if let (Some(original), Some(metamer)) = (&self.original, &self.metamer)
            && original.class != metamer.class
        {
            return (
                Outcome::WrongClass,
                format!("{matched}, but the network classifies the metamer as {}, not {}", metamer.name, original.name),
            );
        }
        let class = match &self.original {
            Some(original) => format!("and the network classifies both as {}", original.name),
            None => "and the network is not a classifier, so the match alone decides".into(),
        };
        if self.supported_quantile < self.quantile {
            let reason = format!(
                "{matched}, {class}; but {} pairs support quantiles up to {:.4}, and the requested one is {}",
                self.pairs, self.supported_quantile, self.quantile
            );
            return (Outcome::NotEnoughEvidence, reason);
        }
        (Outcome::Metamer, format!("{matched}, {class}"))
    }

    /// Symbol and outcome, with the grade of a metamer.
    fn headline(&self) -> String {
        let line = format!("{} {}", self.outcome.symbol(), self.outcome);
        if self.outcome == Outcome::Metamer { format!("{line} ({})", self.grade()) } else { line }
    }

    fn table(&self) -> Table {
        let yes = |holds: bool| if holds { "yes" } else { "no" }.to_string();
        let describe = |class: &Option<ClassScore>| {
            class.as_ref().map_or("none".into(), |g| format!("{} ({:.0} %)", g.name, 100.0 * g.probability))
        };
        let same = match (&self.original, &self.metamer) {
            (Some(a), Some(b)) => yes(a.class == b.class),
            _ => "not applicable".into(),
        };
        let mut table = Table::new(["", "metamer", "null maximum", "p", "met"])
            .align([Align::Left, Align::Right, Align::Right, Align::Right])
            .caption(format!(
                "stage {}, compared with {} pairs of natural stimuli; recipe {}, prior {}",
                self.stage, self.pairs, self.recipe, self.prior
            ));
        table.push([
            "class".to_string(),
            describe(&self.metamer),
            format!("original: {}", describe(&self.original)),
            String::new(),
            same,
        ]);
        let measures = [("ρ", self.spearman, 3), ("r", self.pearson, 3), ("SNR (dB)", self.snr_db, 1)];
        for (name, m, digits) in measures {
            let value = m.value.map_or("undefined".into(), |v| format!("{v:.digits$}"));
            let p = if m.p < 0.001 { format!("{:.1e}", m.p) } else { format!("{:.3}", m.p) };
            table.push([name.to_string(), value, format!("{:.digits$}", m.null_max), p, yes(m.exceeds_null())]);
        }
        let target = format!("at least {WELL_MATCHED_DB:.0} dB");
        table.row(["well matched".to_string(), String::new(), target, String::new(), yes(self.well_matched)])
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.headline(), self.reason)
    }
}

impl Show for Verdict {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let table = &self.table().mime_bundles()[0];
        let (line, color) = (self.headline(), self.outcome.color());
        let html = format!(
            "<p style=\"color:{color}\"><b>{}</b>: {}</p>\n{}",
            escape(&line),
            escape(&self.reason),
            table.data().get("text/html").map_or("", String::as_str)
        );
        vec![MimeBundle::text(format!("{self}\n\n{}", table.plain())).html(html)]
    }
}

crate::show_in_notebooks!(Verdict);
