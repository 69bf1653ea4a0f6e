//! Classification of a stimulus by a network.

use candle_core::Tensor;

use super::Network;
use crate::display::{Bars, Figure, MimeBundle, Panel, Show};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// A class and its softmax probability.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ClassScore {
    /// The index of the class.
    pub class: usize,
    /// The name of the class.
    pub name: String,
    /// The softmax probability, from 0 to 1.
    pub probability: f64,
}

/// The most probable classes of a stimulus, in descending order; at least one.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Classification {
    #[serde(rename = "guesses")]
    scores: Vec<ClassScore>,
}

#[derive(serde::Deserialize)]
struct Unchecked {
    #[serde(rename = "guesses")]
    scores: Vec<ClassScore>,
}

impl TryFrom<Unchecked> for Classification {
    type Error = Error;

    fn try_from(unchecked: Unchecked) -> Result<Self> {
        Self::new(unchecked.scores)
    }
}

impl std::fmt::Debug for Classification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (top, others) = (self.top(), self.scores.len() - 1);
        write!(f, "Classification({} {:.3}, and {others} less likely)", top.name, top.probability)
    }
}

impl Classification {
    /// A classification with these classes; sorts them by descending probability.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are no classes, or a probability lies outside `[0, 1]`.
    pub fn new(mut scores: Vec<ClassScore>) -> Result<Self> {
        if scores.is_empty() {
            return Err(Error::invalid("classification", "must have at least one class"));
        }
        if let Some(invalid) = scores.iter().find(|score| !(0.0..=1.0).contains(&score.probability)) {
            let reason =
                format!("probabilities must lie in [0, 1], but \"{}\" has {}", invalid.name, invalid.probability);
            return Err(Error::invalid("classification", reason));
        }
        scores.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Ok(Self { scores })
    }

    /// The classes by descending probability; at least one.
    #[must_use]
    pub fn scores(&self) -> &[ClassScore] {
        &self.scores
    }

    /// The most probable class.
    #[must_use]
    pub fn top(&self) -> &ClassScore {
        &self.scores[0]
    }
}

impl Network {
    /// The `k` most probable classes of an image or a sound, after [`Network::prepare`].
    ///
    /// # Errors
    /// When the network is not a classifier or `k` is 0; as [`Network::prepare`].
    pub fn classify(&self, stimulus: impl Into<Stimulus>, k: usize) -> Result<Classification> {
        self.classify_tensor(&self.prepare(stimulus)?.to_tensor()?, k)
    }

    /// The `k` most probable classes of one image `[1, channels, height, width]` in `[0, 1]` or waveform `[1, samples]`.
    ///
    /// # Errors
    /// As [`Network::classify`].
    pub fn classify_tensor(&self, x: &Tensor, k: usize) -> Result<Classification> {
        let (Some(classes), Some(last)) = (self.classes(), self.stages().last()) else {
            return Err(Error::invalid(self.name(), "is not a classifier: it has no class names"));
        };
        if k == 0 {
            return Err(Error::invalid("k", "must be at least 1, got 0; 1 gives the most probable class"));
        }
        if x.dims().first() != Some(&1) {
            return Err(Error::shape(
                "the input of classify_tensor",
                "a batch of one: [1, channels, height, width] or [1, samples]",
                x.dims(),
            ));
        }
        let logits = crate::ops::values(&self.run_to(last.node, x)?)?;
        crate::finite::check(|| format!("the logits of {}", self.name()), &logits)?;
        let highest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let weights: Vec<f64> = logits.iter().map(|&l| f64::from(l - highest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let score =
            |&class: &usize| ClassScore { class, name: classes[class].clone(), probability: weights[class] / total };
        Classification::new(order.iter().take(k).map(score).collect())
    }
}

impl Show for Classification {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let bars = self.scores.iter().map(|score| (score.name.clone(), score.probability));
        let lines = self.scores.iter().map(|score| format!("{:6.2} %  {}", 100.0 * score.probability, score.name));
        let text = lines.collect::<Vec<_>>().join("\n");
        let alt = format!("Class probabilities: {}", text.replace('\n', "; "));
        let figure =
            Figure::new(alt).width(460.0).row([Panel::bars(Bars::new("network's answer").bars(bars).highlight(0))]);
        vec![figure.bundle(text)]
    }
}

crate::show_in_notebooks!(Classification);

#[cfg(test)]
mod tests {
    use super::*;

    fn score(class: usize, probability: f64) -> ClassScore {
        ClassScore { class, name: format!("class {class}"), probability }
    }

    #[test]
    fn classes_are_sorted_by_probability_and_never_empty() {
        let answer = Classification::new(vec![score(1, 0.2), score(2, 0.7), score(3, 0.1)]).unwrap();
        assert_eq!(answer.top().class, 2);
        assert_eq!(answer.scores().iter().map(|g| g.class).collect::<Vec<_>>(), [2, 1, 3]);
        let back: Classification = serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap();
        assert_eq!(back, answer);
        assert!(Classification::new(vec![]).unwrap_err().to_string().contains("at least one"));
        assert!(Classification::new(vec![score(1, f64::NAN)]).is_err());
        assert!(serde_json::from_str::<Classification>(r#"{"guesses":[]}"#).is_err());
    }
}
