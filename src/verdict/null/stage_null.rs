//! The null distributions of one stage.

use serde::{Deserialize, Serialize};

use super::gram::covariances;
use super::spill::Spill;
use crate::Result;
use crate::similarity::Distribution;
use crate::similarity::ranks;

/// Distributions of the similarity of pairs of natural stimuli at one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageNull {
    /// The stage's name.
    pub stage: String,
    /// The number of pairs left out because a measure is undefined: one stimulus gives every unit the same value, or the two
    /// are identical.
    pub undefined: usize,
    /// Spearman's rho.
    pub spearman: Distribution,
    /// Pearson's r.
    pub pearson: Distribution,
    /// Signal-to-noise ratio in dB.
    pub snr_db: Distribution,
    /// The pairs with the largest rho, r and SNR, which set the maxima.
    #[serde(rename = "most_alike")]
    pub most_similar: [[String; 2]; 3],
}

/// Collects the activations of one stage.
pub(super) struct Collector {
    stage: String,
    columns: usize,
    values: Spill,
    ranks: Spill,
    means: Vec<f64>,
    /// `sum a^2` for each stimulus.
    powers: Vec<f64>,
}

impl Collector {
    pub fn new(stage: &str, columns: usize) -> Result<Self> {
        Ok(Self {
            stage: stage.into(),
            columns,
            values: Spill::new(columns)?,
            ranks: Spill::new(columns)?,
            means: vec![],
            powers: vec![],
        })
    }

    pub fn push(&mut self, activations: &[f32]) -> Result<()> {
        let values = activations.iter().map(|&v| f64::from(v));
        self.means.push(values.clone().sum::<f64>() / self.columns as f64);
        self.powers.push(values.map(|v| v * v).sum());
        self.values.push(activations.iter().copied())?;
        // Ranks are multiples of 1/2, which float32 represents exactly up to 2^23.
        self.ranks.push(ranks(activations).into_iter().map(|rank| rank as f32))
    }

    /// Compares all pairs of stimuli.
    pub fn compare(mut self) -> Result<Compared> {
        let mean_rank = (self.columns as f64 + 1.0) / 2.0;
        Ok(Compared {
            values: covariances(&mut self.values, self.columns, &self.means)?,
            ranks: covariances(&mut self.ranks, self.columns, &vec![mean_rank; self.means.len()])?,
            stage: self.stage,
            units: self.columns as f64,
            means: self.means,
            powers: self.powers,
        })
    }
}

/// Similarities of all pairs of stimuli at one stage, by index.
pub(super) struct Compared {
    stage: String,
    units: f64,
    means: Vec<f64>,
    powers: Vec<f64>,
    /// `sum (a - mean a) (b - mean b)` for all pairs, of values and of ranks.
    values: Vec<f64>,
    ranks: Vec<f64>,
}

impl Compared {
    pub fn count(&self) -> usize {
        self.means.len()
    }

    fn correlation(&self, covariances: &[f64], i: usize, j: usize) -> Option<f64> {
        let at = |i: usize, j: usize| covariances[i * self.count() + j];
        let norms = at(i, i).sqrt() * at(j, j).sqrt();
        (norms > 0.0).then(|| (at(i, j) / norms).clamp(-1.0, 1.0))
    }

    pub fn pearson(&self, i: usize, j: usize) -> Option<f64> {
        self.correlation(&self.values, i, j)
    }

    /// SNR in dB; `None` for an original of zeros and for identical stimuli.
    fn snr_db(&self, i: usize, j: usize) -> Option<f64> {
        let at = |i: usize, j: usize| self.values[i * self.count() + j];
        // norm2(a - b)^2 is the sum of the deviations' part and the means' part.
        let deviation = (at(i, i) + at(j, j) - 2.0 * at(i, j)).max(0.0);
        let noise = deviation + self.units * (self.means[i] - self.means[j]).powi(2);
        Some(10.0 * (self.powers[i] / noise).log10()).filter(|snr| snr.is_finite())
    }

    /// The distributions over these pairs; `None` if no pair has all measures.
    pub fn null(&self, pairs: &[[usize; 2]], names: &[&str]) -> Result<Option<StageNull>> {
        let mut measures: [Vec<f64>; 3] = Default::default();
        let mut defined = vec![];
        for &[i, j] in pairs {
            let found = (self.correlation(&self.ranks, i, j), self.pearson(i, j), self.snr_db(i, j));
            if let (Some(spearman), Some(pearson), Some(snr_db)) = found {
                [spearman, pearson, snr_db].into_iter().zip(&mut measures).for_each(|(v, list)| list.push(v));
                defined.push([i, j]);
            }
        }
        if defined.is_empty() {
            return Ok(None);
        }
        let most_similar = |list: &Vec<f64>| {
            let largest = (0..list.len()).max_by(|&a, &b| list[a].total_cmp(&list[b])).unwrap_or(0);
            defined[largest].map(|stimulus| names[stimulus].to_string())
        };
        let [spearman, pearson, snr_db] = &measures;
        Ok(Some(StageNull {
            stage: self.stage.clone(),
            undefined: pairs.len() - defined.len(),
            spearman: Distribution::from_values(spearman)?,
            pearson: Distribution::from_values(pearson)?,
            snr_db: Distribution::from_values(snr_db)?,
            most_similar: [most_similar(spearman), most_similar(pearson), most_similar(snr_db)],
        }))
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::similarity::Similarity;

    #[test]
    fn measures_of_every_pair_equal_similarity() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        // Rectification creates ties.
        let row = |shift: f32, random: &mut rand_chacha::ChaCha8Rng| -> Vec<f32> {
            (0..3001).map(|_| (random.random::<f32>() - shift).max(0.0)).collect()
        };
        let rows: Vec<Vec<f32>> = (0..6).map(|i| row(0.1 * i as f32, &mut random)).collect();
        let names = ["a", "b", "c", "d", "e", "f"];
        for (i, j) in [(0, 1), (4, 2), (5, 3), (2, 5)] {
            let mut collector = Collector::new("s", 3001).unwrap();
            rows.iter().for_each(|row| collector.push(row).unwrap());
            let found = collector.compare().unwrap().null(&[[i, j]], &names).unwrap().unwrap();
            let expected = Similarity::between(&rows[i], &rows[j]).unwrap();
            let close = |d: &Distribution, value: Option<f64>| assert!((d.mean() - value.unwrap()).abs() < 1e-9);
            close(&found.spearman, expected.spearman);
            close(&found.pearson, expected.pearson);
            close(&found.snr_db, expected.snr_db);
            assert_eq!(found.most_similar[0], [names[i], names[j]]);
        }
    }

    #[test]
    fn silent_stimuli_are_excluded_and_counted() {
        let mut collector = Collector::new("s", 4).unwrap();
        for row in [[0.0; 4], [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]] {
            collector.push(&row).unwrap();
        }
        let found = collector.compare().unwrap();
        let found = found.null(&[[0, 1], [1, 0], [1, 2]], &["silent", "b", "c"]).unwrap().unwrap();
        assert_eq!((found.undefined, found.spearman.count()), (2, 1));
        assert_eq!(found.most_similar[2], ["b", "c"]);
    }
}
