//! Nearest-neighbour classification.

use super::Network;
use crate::display::{Align, MimeBundle, Show, Table};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// A nearest-neighbour classifier on the activations of a stage, for networks without classes.
///
/// Similarity is the cosine `a . b / (|a| |b|)` of the activations. For a name with several examples it is the mean of their
/// cosines, which is the cosine to the mean of the normalised examples times that mean's length (prototypes: Snell, Swersky &
/// Zemel, NeurIPS 2017).
///
/// Sounds keep their level. For a network trained at a single level, set the level of examples and stimuli first with
/// [`Sound::prepare`](crate::stimulus::Sound::prepare).
///
/// ```
/// use metamers::prelude::{networks::*, *};
///
/// let ear = zoo::cochcnn_words()?;
/// let mut words = NearestNeighbor::new(&ear, "relufc")?;
/// words.add("november", Sound::open("speech/november.wav")?)?;
/// words.add("seven", Sound::open("speech/seven.wav")?)?;
/// let answer = words.query(Sound::open("speech/november_letter.wav")?, 2)?;
/// assert_eq!(answer.top().name, "november");
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct NearestNeighbor {
    network: Network,
    stage: String,
    /// Names and activations, normalised to unit length.
    examples: Vec<(String, Vec<f32>)>,
}

/// A name and its examples' similarity to the stimulus.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Neighbor {
    /// The name.
    pub name: String,
    /// The mean cosine to the name's examples, from -1 to 1.
    pub cosine: f64,
}

/// The nearest names by descending similarity; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbors(Vec<Neighbor>);

impl Neighbors {
    /// The names by descending similarity; at least one.
    #[must_use]
    pub fn all(&self) -> &[Neighbor] {
        &self.0
    }

    /// The nearest name.
    #[must_use]
    pub fn top(&self) -> &Neighbor {
        &self.0[0]
    }
}

impl NearestNeighbor {
    /// A classifier on this stage, initially without examples.
    ///
    /// # Errors
    /// An unknown stage.
    pub fn new(network: &Network, stage: &str) -> Result<Self> {
        network.stage(stage)?;
        Ok(Self { network: network.clone(), stage: stage.into(), examples: vec![] })
    }

    /// Adds an image or a sound as an example of a name, after [`Network::prepare`].
    ///
    /// # Errors
    /// As [`Network::prepare`], and when all units of the stage are 0 for the example.
    pub fn add(&mut self, name: impl Into<String>, example: impl Into<Stimulus>) -> Result<()> {
        let vector = self.unit_vector(example.into())?;
        self.examples.push((name.into(), vector));
        Ok(())
    }

    /// The number of examples.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.examples.len()
    }

    /// The `k` nearest names, or all if there are fewer.
    ///
    /// # Errors
    /// When there are no examples or `k` is 0; as [`NearestNeighbor::add`].
    pub fn query(&self, stimulus: impl Into<Stimulus>, k: usize) -> Result<Neighbors> {
        if k == 0 {
            return Err(Error::invalid("k", "must be at least 1, got 0; 1 gives the nearest name"));
        }
        let vector = self.unit_vector(stimulus.into())?;
        let mut sums: Vec<(&str, f64, usize)> = vec![];
        for (name, example) in &self.examples {
            let cosine: f64 = example.iter().zip(&vector).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            match sums.iter_mut().find(|(known, ..)| known == name) {
                Some((_, sum, count)) => (*sum, *count) = (*sum + cosine, *count + 1),
                None => sums.push((name, cosine, 1)),
            }
        }
        let mean = |(name, sum, count): (&str, f64, usize)| Neighbor { name: name.into(), cosine: sum / count as f64 };
        let mut found: Vec<Neighbor> = sums.into_iter().map(mean).collect();
        if found.is_empty() {
            return Err(Error::invalid("nearest neighbor", "has no examples; add one with NearestNeighbor::add"));
        }
        found.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        found.truncate(k);
        Ok(Neighbors(found))
    }

    /// The stage's activations for a stimulus, normalised to unit length.
    fn unit_vector(&self, stimulus: Stimulus) -> Result<Vec<f32>> {
        let x = self.network.prepare(stimulus)?.to_tensor()?;
        let mut vector = crate::ops::values(&self.network.forward_to(&self.stage, &x)?)?;
        crate::finite::check(|| format!("stage \"{}\"", self.stage), &vector)?;
        let length = vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        if length == 0.0 {
            return Err(Error::invalid(
                format!("stage \"{}\"", self.stage),
                "is silent for this stimulus: all units are 0, so a cosine is undefined",
            ));
        }
        vector.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
        Ok(vector)
    }
}

impl std::fmt::Debug for NearestNeighbor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NearestNeighbor({} at {}, {} examples)", self.network.name(), self.stage, self.examples.len())
    }
}

impl Show for Neighbors {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let rows = self.0.iter().map(|neighbor| [neighbor.name.clone(), format!("{:.3}", neighbor.cosine)]);
        let empty = Table::new(["nearest", "cosine"]).align([Align::Left, Align::Right]);
        rows.fold(empty, Table::row).mime_bundles()
    }
}

impl Show for NearestNeighbor {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let mut names: Vec<(&str, usize)> = vec![];
        for (name, _) in &self.examples {
            match names.iter_mut().find(|(known, _)| known == name) {
                Some((_, count)) => *count += 1,
                None => names.push((name, 1)),
            }
        }
        let caption = format!("{}: nearest at {}", self.network.name(), self.stage);
        let empty = Table::new(["name", "examples"]).align([Align::Left, Align::Right]).caption(caption);
        names
            .iter()
            .fold(empty, |table, (name, count)| table.row([(*name).to_owned(), count.to_string()]))
            .mime_bundles()
    }
}

crate::show_in_notebooks!(Neighbors);
crate::show_in_notebooks!(NearestNeighbor);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Builder, Input};
    use crate::ops::L2Norm;
    use crate::stimulus::{Image, Noise, Sound};

    /// A network whose stage is the input samples, normalised to unit length.
    fn samples() -> Network {
        let mut b = Builder::new("samples", Input::Sound { samples: 4, sample_rate: 8_000 });
        let x = b.layer(L2Norm, &[b.input()]).unwrap();
        b.stage("unit", x).unwrap();
        b.finish().unwrap()
    }

    fn sound(values: [f32; 4]) -> Sound {
        Sound::from_samples("", 8_000, values.to_vec()).unwrap()
    }

    #[test]
    fn similarity_is_the_mean_over_the_examples_of_a_name() {
        let mut words = NearestNeighbor::new(&samples(), "unit").unwrap();
        assert!(words.query(sound([1.0; 4]), 1).unwrap_err().to_string().contains("has no examples"));
        words.add("left", sound([0.5, 0.0, 0.0, 0.0])).unwrap();
        words.add("right", sound([0.0, 0.0, 0.0, 0.25])).unwrap();
        words.add("left", sound([0.3, 0.4, 0.0, 0.0])).unwrap();
        let answer = words.query(sound([0.0, 0.8, 0.0, 0.6]), 9).unwrap();
        let found: Vec<(&str, f64)> = answer.all().iter().map(|m| (m.name.as_str(), m.cosine)).collect();
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["right", "left"]);
        assert!((found[0].1 - 0.6).abs() < 1e-6 && (found[1].1 - 0.32).abs() < 1e-6, "{found:?}");
        assert_eq!(words.query(sound([0.0, 0.1, 0.0, 0.0]), 1).unwrap().all().len(), 1);
        assert_eq!(words.examples(), 3);
    }

    #[test]
    fn silent_and_invalid_inputs_are_errors() {
        let mut words = NearestNeighbor::new(&samples(), "unit").unwrap();
        assert!(words.add("silence", sound([0.0; 4])).unwrap_err().to_string().contains("silent"));
        words.add("left", sound([0.5, 0.0, 0.0, 0.0])).unwrap();
        assert!(words.query(sound([1.0; 4]), 0).unwrap_err().to_string().contains("at least 1"));
        assert!(words.query(Image::noise(8, 8, Noise::Uniform { low: 0.0, high: 1.0 }, 1).unwrap(), 1).is_err());
        assert!(NearestNeighbor::new(&samples(), "unti").unwrap_err().to_string().contains("unit"));
    }
}
