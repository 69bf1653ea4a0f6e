//! Class and match, judged together.

use serde::{Deserialize, Serialize};

use super::{NullDistribution, Outcome};
use crate::display::{Align, MimeBundle, Show, Table, escape};
use crate::network::ClassScore;
use crate::similarity::{Distribution, WELL_MATCHED_DB};
use crate::synthesis::Metamer;
use crate::{Error, Result};

/// The quantile that a null distribution must have pairs enough for, unless another is asked for.
const QUANTILE: f64 = 0.999;

/// One measure of a match, with its place in the null distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Its value; `None` when it does not exist, as a correlation with a constant.
    #[serde(with = "crate::finite::json")]
    pub value: Option<f64>,
    /// The largest value by chance, over all pairs of the null distribution.
    pub chance_at_most: f64,
    /// The chance of a value at least as large, `(1 + pairs that are) / (1 + pairs)`; 1 when there is no value. Nominal, as
    /// [`Distribution::tail`] says.
    pub p: f64,
}

impl Measure {
    fn of(value: Option<f64>, null: &Distribution) -> Self {
        Self { value, chance_at_most: null.max(), p: value.map_or(1.0, |value| null.tail(value)) }
    }

    /// Whether no pair of natural stimuli comes as far.
    pub fn beyond_chance(&self) -> bool {
        self.value.is_some_and(|value| value > self.chance_at_most)
    }
}

/// Whether a stimulus is a metamer, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The answer.
    pub outcome: Outcome,
    /// Why, in a sentence.
    pub reason: String,
    /// The matched stage.
    pub stage: String,
    /// What the network says of the original; `None` when it is no classifier, and the match alone decides.
    pub original: Option<ClassScore>,
    /// What it says of the metamer.
    pub metamer: Option<ClassScore>,
    /// Spearman's rho.
    pub spearman: Measure,
    /// Pearson's r.
    pub pearson: Measure,
    /// Signal-to-noise ratio in dB.
    pub snr_db: Measure,
    /// Pairs in the null distribution.
    pub pairs: usize,
    /// The quantile that was asked for. It decides only whether the pairs suffice, `1 / (1 - quantile)` of them: the match must
    /// exceed the largest pair whatever it is.
    pub quantile: f64,
    /// The highest quantile that so many pairs can tell: `1 - 1 / pairs`. Nominal, for the pairs share their stimuli (the shipped
    /// 5,995 pairs of photos are of 110) and are not independent; the papers drew theirs from a training set.
    pub supported_quantile: f64,
    /// Whether the match has 20 dB or more. The null criterion is lenient: most stages pass it long before.
    pub well_matched: bool,
}

impl Metamer {
    /// Whether this is a metamer, judged against a null distribution of 1,000 pairs or more.
    ///
    /// Rho, r and SNR must each be larger than for every pair of natural stimuli, and the network's class the same. A null
    /// of fewer than 1,000 pairs, which cannot tell the quantile 0.999, gives [`Outcome::NotEnoughEvidence`] at best. Feather et
    /// al. took 1,000,000 pairs.
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
    /// A null of another network, of other weights, or without the matched stage.
    pub fn verdict(&self, null: &NullDistribution) -> Result<Verdict> {
        self.verdict_at(null, QUANTILE)
    }

    /// As [`Metamer::verdict`], with a null that can tell another quantile: 0.95 asks for 20 pairs at least, 0.999999 for a million.
    /// The match must exceed the largest pair in any case.
    ///
    /// # Errors
    /// As [`Metamer::verdict`], and a quantile outside of `[0.5, 1)`.
    pub fn verdict_at(&self, null: &NullDistribution, quantile: f64) -> Result<Verdict> {
        let stamp = self.provenance();
        if !(0.5..1.0).contains(&quantile) {
            return Err(Error::invalid("quantile", format!("lies in [0.5, 1), got {quantile}; 0.999 is the habit")));
        }
        if null.weights_sha256() != stamp.weights_sha256 || null.network() != stamp.network {
            let reason = format!(
                "is of {} of weights {}, and the metamer of {} of weights {}; take one of the network that made it: NullDistribution::shipped(&net), or \
                 NullDistribution::builder(&net) with stimuli of your own",
                null.network(),
                null.weights_sha256(),
                stamp.network,
                stamp.weights_sha256
            );
            return Err(Error::invalid("null distribution", reason));
        }
        let chance = null.stage(&stamp.stage)?;
        let found = self.similarity();
        let pairs = chance.snr_db.count();
        let top = |answer: Option<&crate::network::Classification>| answer.map(|a| a.top().clone());
        let mut verdict = Verdict {
            outcome: Outcome::Metamer,
            reason: String::new(),
            stage: stamp.stage.clone(),
            original: top(self.original_class()),
            metamer: top(self.metamer_class()),
            spearman: Measure::of(found.spearman, &chance.spearman),
            pearson: Measure::of(found.pearson, &chance.pearson),
            snr_db: Measure::of(found.snr_db, &chance.snr_db),
            pairs,
            quantile,
            supported_quantile: 1.0 - 1.0 / pairs as f64,
            well_matched: found.snr_db.is_some_and(|snr| snr >= WELL_MATCHED_DB),
        };
        (verdict.outcome, verdict.reason) = verdict.decide();
        Ok(verdict)
    }
}

impl Verdict {
    fn decide(&self) -> (Outcome, String) {
        let measures = [("ρ", self.spearman), ("r", self.pearson), ("SNR", self.snr_db)];
        let short: Vec<&str> = measures.iter().filter(|(_, m)| !m.beyond_chance()).map(|(name, _)| *name).collect();
        if !short.is_empty() {
            let reason = match short.as_slice() {
                [one] => format!("a pair of natural stimuli reaches this {one} by chance"),
                several => format!("pairs of natural stimuli reach this {} by chance", several.join(" and ")),
            };
            return (Outcome::NotYet, reason);
        }
        let matched = format!("no pair of {} natural ones is as alike", self.pairs);
        if let (Some(original), Some(metamer)) = (&self.original, &self.metamer)
            && original.class != metamer.class
        {
            return (
                Outcome::WrongClass,
                format!("{matched}, but the network says {}, not {}", metamer.name, original.name),
            );
        }
        let class = match &self.original {
            Some(original) => format!("and the network says {} of both", original.name),
            None => "the network gives no classes, so the match alone decides".into(),
        };
        if self.supported_quantile < self.quantile {
            let reason = format!(
                "{matched}, {class}; {} pairs tell a quantile of {:.4} at most, and {} was asked for",
                self.pairs, self.supported_quantile, self.quantile
            );
            return (Outcome::NotEnoughEvidence, reason);
        }
        (Outcome::Metamer, format!("{matched}, {class}"))
    }

    fn table(&self) -> Table {
        let yes = |holds: bool| if holds { "yes" } else { "no" }.to_string();
        let says = |guess: &Option<ClassScore>| {
            guess.as_ref().map_or("no classes".into(), |g| format!("{} ({:.0} %)", g.name, 100.0 * g.probability))
        };
        let same = match (&self.original, &self.metamer) {
            (Some(a), Some(b)) => yes(a.class == b.class),
            _ => "not asked".into(),
        };
        let mut table = Table::new(["", "metamer", "chance, at most", "p", "holds"])
            .align([Align::Left, Align::Right, Align::Right, Align::Right])
            .caption(format!("stage {}, against {} pairs of natural stimuli", self.stage, self.pairs));
        table.push([
            "class".to_string(),
            says(&self.metamer),
            format!("original: {}", says(&self.original)),
            String::new(),
            same,
        ]);
        let measures = [("ρ", self.spearman, 3), ("r", self.pearson, 3), ("SNR (dB)", self.snr_db, 1)];
        for (name, m, digits) in measures {
            let value = m.value.map_or("undefined".into(), |v| format!("{v:.digits$}"));
            let p = if m.p < 0.001 { format!("{:.1e}", m.p) } else { format!("{:.3}", m.p) };
            table.push([name.to_string(), value, format!("{:.digits$}", m.chance_at_most), p, yes(m.beyond_chance())]);
        }
        let aim = format!("{WELL_MATCHED_DB:.0} dB or more");
        table.row(["well matched".to_string(), String::new(), aim, String::new(), yes(self.well_matched)])
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.outcome.mark(), self.outcome, self.reason)
    }
}

impl Show for Verdict {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let table = &self.table().mime_bundles()[0];
        let (line, color) = (format!("{} {}", self.outcome.mark(), self.outcome), self.outcome.color());
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
