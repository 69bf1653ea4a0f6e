//! Original and metamer compared: where the match fails, histograms, and amplitude spectra.

use super::goal::Bands;
use super::metamer::Metamer;
use super::problem::Problem;
use crate::display::{Figure, HeatMap, LinePlot, MimeBundle, Panel, Raster, Show};
use crate::network::Network;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// The number of bins of a histogram.
const BINS: usize = 48;
/// Bands per octave of an amplitude spectrum.
const BANDS_PER_OCTAVE: f64 = 3.0;

/// A metamer compared with its original, in the matched features and in the stimulus; see [`Metamer::compare`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Comparison {
    original: Stimulus,
    metamer: Stimulus,
    targets: Vec<Features>,
}

/// The features of one target.
#[derive(Clone, Debug)]
struct Features {
    name: String,
    shape: Vec<usize>,
    original: Vec<f32>,
    metamer: Vec<f32>,
}

impl Metamer {
    /// Compares original and metamer: the error of the match by place and by channel, histograms of features and of pixels, and
    /// amplitude spectra.
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let mut run = Synthesis::new(&net, "stem", Image::open("photos/dog.jpg")?)?.seed(7).quiet().start()?;
    /// run.step(3)?;
    /// let comparison = run.finish()?.compare(&net)?;
    /// assert_eq!(comparison.place_errors(0).unwrap().len(), 112 * 112);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for another network than that of the metamer; otherwise the errors of running it.
    pub fn compare(&self, network: &Network) -> Result<Comparison> {
        let provenance = self.provenance();
        let not_followed = |reason: String| Error::invalid("the metamer", reason);
        provenance.check(network).map_err(not_followed)?;
        // Functions of the user do not matter for features.
        let goal = super::provenance::Provenance { functions: vec![], penalties: vec![], ..provenance.clone() };
        let goal = goal.prepared_goal(network).map_err(not_followed)?;
        let problem = Problem::new(network, &goal, &self.original, &provenance.recipe, self.layer_by_layer, None)?;
        let targets = problem.features_of(self.stimulus.values())?.into_iter().map(|(term, metamer)| Features {
            name: term.name.clone(),
            shape: term.feature.shape().to_vec(),
            original: term.stage_loss.target.clone(),
            metamer,
        });
        let targets = targets.collect();
        Ok(Comparison { original: self.original.clone(), metamer: self.stimulus.clone(), targets })
    }
}

impl Features {
    /// The squared error and the squared original of each channel or, with `place` set, of each place.
    fn squares(&self, key: impl Fn(usize) -> usize, count: usize) -> Vec<[f64; 2]> {
        let mut squares = vec![[0.0; 2]; count];
        for (i, (&a, &b)) in self.original.iter().zip(&self.metamer).enumerate() {
            let (a, b) = (f64::from(a), f64::from(b));
            squares[key(i)][0] += (a - b).powi(2);
            squares[key(i)][1] += a * a;
        }
        squares
    }

    fn places(&self) -> usize {
        self.shape.iter().skip(1).product::<usize>().max(1)
    }

    /// The error's norm relative to the mean norm of the original, by place.
    fn place_errors(&self) -> Option<Vec<f32>> {
        let [_, _, _] = *self.shape else { return None };
        let count = self.places();
        let squares = self.squares(|i| i % count, count);
        let mean = squares.iter().map(|[_, a]| a).sum::<f64>() / count as f64;
        Some(squares.iter().map(|[error, _]| (error / mean).sqrt() as f32).collect())
    }

    /// The error's norm relative to the mean norm of the original, by channel.
    fn channel_errors(&self) -> Vec<f64> {
        let places = self.places();
        let count = self.original.len() / places;
        let squares = self.squares(|i| i / places, count);
        let mean = squares.iter().map(|[_, a]| a).sum::<f64>() / count as f64;
        squares.iter().map(|[error, _]| (error / mean).sqrt()).collect()
    }
}

/// Counts in equal bins from the lowest to the highest value of both.
fn histograms(title: String, x_label: &str, original: &[f32], metamer: &[f32]) -> LinePlot {
    let all = || original.iter().chain(metamer).copied().filter(|v| v.is_finite());
    let (low, high) = all().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let width = (f64::from(high) - f64::from(low)).max(f64::from(f32::MIN_POSITIVE)) / BINS as f64;
    let curve = |values: &[f32]| {
        let mut counts = [0usize; BINS];
        for &value in values.iter().filter(|v| v.is_finite()) {
            counts[(((f64::from(value) - f64::from(low)) / width) as usize).min(BINS - 1)] += 1;
        }
        let center = |i: usize| f64::from(low) + (i as f64 + 0.5) * width;
        let fraction = |count: usize| count as f64 / values.len().max(1) as f64;
        let points = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        points.map(|(i, &count)| (center(i), fraction(count))).collect()
    };
    LinePlot::new(title)
        .x_label(x_label)
        .y_label("fraction of values")
        .log_y()
        .series("original", curve(original))
        .dashed("metamer", curve(metamer))
}

impl Comparison {
    /// The error of a target by place, row by row: the norm over the channels of the difference of the features, relative to the root
    /// mean square norm of the original's. `None` for a target that is not a whole stage with places, and for one that does not exist.
    #[must_use]
    pub fn place_errors(&self, target: usize) -> Option<Vec<f32>> {
        self.targets.get(target)?.place_errors()
    }

    /// The error of a target by channel, relative to the root mean square over the channels of the original's norm.
    #[must_use]
    pub fn channel_errors(&self, target: usize) -> Option<Vec<f64>> {
        Some(self.targets.get(target)?.channel_errors())
    }

    /// [`Comparison::place_errors`] as a map.
    #[must_use]
    pub fn error_map(&self, target: usize) -> Option<HeatMap> {
        let features = self.targets.get(target)?;
        let &[_, rows, columns] = features.shape.as_slice() else { return None };
        let map = HeatMap::new(format!("error at {}", features.name), rows, columns, features.place_errors()?);
        let map = map.value_label("error / mean activation");
        Some(if matches!(self.original, Stimulus::Image(_)) { map.square() } else { map })
    }

    /// The map of errors over the grey original: half of each. `None` where there is no map, and for sounds.
    #[must_use]
    pub fn error_overlay(&self, target: usize) -> Option<Raster> {
        let (map, Stimulus::Image(image)) = (self.error_map(target)?.raster(), &self.original) else { return None };
        let map = map.sampled(image.width(), image.height());
        let grey = Raster::from(&image.to_gray().to_rgb());
        let rgb = map.rgb().iter().zip(grey.rgb()).map(|(&a, &b)| ((u16::from(a) + u16::from(b)) / 2) as u8);
        Some(Raster::from_rgb(image.width(), image.height(), rgb.collect()))
    }

    /// Histograms of a target's features; `None` for one that does not exist.
    #[must_use]
    pub fn feature_histogram(&self, target: usize) -> Option<LinePlot> {
        let features = self.targets.get(target)?;
        let title = format!("features of {}", features.name);
        Some(histograms(title, "activation", &features.original, &features.metamer))
    }

    /// Histograms of the pixels or samples.
    pub fn value_histogram(&self) -> LinePlot {
        let (title, label) = match self.original {
            Stimulus::Image(_) => ("pixels", "value of a color"),
            Stimulus::Sound(_) => ("samples", "value of a sample"),
        };
        histograms(title.into(), label, self.original.values(), self.metamer.values())
    }

    /// Amplitude spectra: the root mean square cosine coefficient in thirds of octaves, averaged over the colors.
    pub fn amplitude_spectra(&self) -> LinePlot {
        let (size, unit, label) = match &self.original {
            Stimulus::Image(image) => {
                let longer = image.width().max(image.height());
                ([image.height(), image.width()], longer as f64, "cycles per picture")
            }
            Stimulus::Sound(sound) => ([1, sound.len()], f64::from(sound.sample_rate()), "frequency (Hz)"),
        };
        let bands = Bands::new(size, BANDS_PER_OCTAVE);
        let curve = |stimulus: &Stimulus| {
            let values: Vec<f64> = stimulus.values().iter().map(|&v| f64::from(v)).collect();
            let amplitudes = bands.amplitudes(&values).into_iter().filter(|(_, amplitude)| *amplitude > 0.0);
            amplitudes.map(|(center, amplitude)| (center * unit, amplitude)).collect::<Vec<_>>()
        };
        LinePlot::new("amplitude spectra")
            .x_label(label)
            .y_label("rms coefficient")
            .log_x()
            .log_y()
            .series("original", curve(&self.original))
            .dashed("metamer", curve(&self.metamer))
    }

    fn channel_plot(features: &Features) -> LinePlot {
        let errors = features.channel_errors().into_iter().enumerate();
        LinePlot::new(format!("error at {} by channel", features.name))
            .x_label("channel")
            .y_label("error / mean norm")
            .points("", errors.map(|(channel, error)| (channel as f64, error)).collect())
    }
}

impl Show for Comparison {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let names: Vec<&str> = self.targets.iter().map(|features| features.name.as_str()).collect();
        let title = format!("{} and its metamer, matched at {}", self.original.name(), names.join(" and "));
        let text = format!("{title}: errors by place and channel, histograms, amplitude spectra");
        let mut figure = Figure::new(&text).title(title);
        for (index, features) in self.targets.iter().enumerate() {
            let overlay = self.error_overlay(index).map(|raster| Panel::picture("over the original", raster));
            let map = self.error_map(index).map(Panel::heat_map);
            figure.push(map.into_iter().chain(overlay).chain([Panel::plot(Self::channel_plot(features))]));
        }
        let features = (0..self.targets.len()).filter_map(|index| self.feature_histogram(index)).map(Panel::plot);
        let plots: Vec<Panel> =
            features.chain([Panel::plot(self.value_histogram()), Panel::plot(self.amplitude_spectra())]).collect();
        for row in plots.chunks(3) {
            figure.push(row.to_vec());
        }
        vec![figure.bundle(text)]
    }
}

crate::show_in_notebooks!(Comparison);
