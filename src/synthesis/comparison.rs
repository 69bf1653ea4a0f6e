//! Original and metamer compared: where the match fails, histograms, and amplitude spectra.

use super::execution::Execution;
use super::goal::Bands;
use super::metamer::Metamer;
use super::problem::Problem;
use crate::display::{Figure, HeatMap, LinePlot, MimeBundle, Panel, Raster, Show};
use crate::hearing::{Cochleagram, LogMel};
use crate::network::{Input, Network, ReceptiveField};
use crate::ops::Standardize;
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
    /// The network, whose front end gives maps of sounds their axes.
    network: Network,
}

/// The features of one target.
#[derive(Clone, Debug)]
struct Features {
    name: String,
    shape: Vec<usize>,
    /// The receptive field of a unit of the stage.
    field: ReceptiveField,
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
        let execution = Execution::from_saved(self.layer_by_layer);
        let problem = Problem::new(network, &goal, &self.original, &provenance.recipe, &execution)?;
        let features = problem.features_of(self.stimulus.values())?;
        let targets = goal.matched.parts().iter().zip(features).map(|(target, (term, metamer))| {
            Ok(Features {
                name: term.name.clone(),
                shape: term.feature.shape().to_vec(),
                field: network.stage(target.stage_name())?.receptive_field,
                original: term.stage_loss.target.clone(),
                metamer,
            })
        });
        let targets = targets.collect::<Result<Vec<_>>>()?;
        let (original, metamer) = (self.original.clone(), self.stimulus.clone());
        Ok(Comparison { original, metamer, targets, network: network.clone() })
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

    /// The ends of the rows and of the columns in the picture, or in the front end's output, of this height and width; see
    /// [`ReceptiveField::extent`].
    fn extents(&self, [height, width]: [usize; 2]) -> Option<[[f64; 2]; 2]> {
        let &[_, rows, columns] = self.shape.as_slice() else { return None };
        Some([self.field.extent(0, rows, height), self.field.extent(1, columns, width)])
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

    /// [`Comparison::place_errors`] as a map. Behind a cochleagram the lowest frequency is at the bottom; behind log-mel energies the rows
    /// are frames, the first on top.
    #[must_use]
    pub fn error_map(&self, target: usize) -> Option<HeatMap> {
        let features = self.targets.get(target)?;
        let &[_, rows, columns] = features.shape.as_slice() else { return None };
        let map = HeatMap::new(format!("error at {}", features.name), rows, columns, features.place_errors()?);
        let map = map.value_label("error / mean activation");
        match self.original {
            Stimulus::Image(_) => Some(map.square()),
            Stimulus::Sound(_) => Some(self.with_axes(map, features.extents(self.network.field_grid().1)?)),
        }
    }

    /// Adds the axes of the network's front end, if it has one, to a map of these rows and columns of its output.
    fn with_axes(&self, map: HeatMap, [rows, columns]: [[f64; 2]; 2]) -> HeatMap {
        for layer in self.network.nodes().iter().map(|node| &node.layer) {
            if let Some(cochleagram) = layer.as_op::<Cochleagram>() {
                return cochleagram.with_axes(map, rows, columns);
            }
            if let Some(log_mel) = layer.as_op::<LogMel>() {
                return log_mel.with_axes(map, rows, columns);
            }
            if let (Some(_), &Input::Sound { sample_rate, .. }) = (layer.as_op::<Standardize>(), self.network.input()) {
                let [from, to] = rows.map(|sample| (sample - 0.5) / f64::from(sample_rate));
                return map.y_axis("time (s)", from, to);
            }
        }
        map
    }

    /// The map of errors over the grey original: half of each. A unit colors the pixels around the center of its receptive field, up to
    /// halfway to the next unit; beyond the units the original is alone. `None` where there is no map, and for sounds.
    #[must_use]
    pub fn error_overlay(&self, target: usize) -> Option<Raster> {
        let (map, Stimulus::Image(image)) = (self.error_map(target)?.raster(), &self.original) else { return None };
        let (width, height) = (image.width(), image.height());
        let extents = self.targets.get(target)?.extents([height, width])?;
        let counts = [map.height(), map.width()];
        let unit = |axis: usize, pixel: usize| {
            let ([from, to], count) = (extents[axis], counts[axis] as f64);
            let place = (pixel as f64 + 0.5 - from) / (to - from) * count;
            (0.0..count).contains(&place).then_some(place as usize)
        };
        let grey = Raster::from(&image.to_gray().to_rgb());
        let rgb = grey.rgb().chunks_exact(3).enumerate().flat_map(|(i, grey)| {
            let color = unit(0, i / width).zip(unit(1, i % width)).map(|(row, column)| {
                let index = row * map.width() + column;
                &map.rgb()[3 * index..][..3]
            });
            let half = |c: usize| color.map_or(grey[c], |color| ((u16::from(color[c]) + u16::from(grey[c])) / 2) as u8);
            [half(0), half(1), half(2)]
        });
        Some(Raster::from_rgb(width, height, rgb.collect()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hearing::{CochleagramConfig, LogMelConfig};
    use crate::network::{Builder, NodeId};
    use crate::ops::{MaxPool2d, Padding, Window};
    use crate::stimulus::{Image, Sound};

    /// A comparison at a pool whose first unit is centered at the first pixel; each place has another error.
    fn at_pool(mut b: Builder, x: NodeId, stimulus: Stimulus) -> Comparison {
        let window = Window::square(3).stride(2).padding(Padding::all(1));
        let x = b.max_pool2d(x, MaxPool2d::new(window)).unwrap();
        b.stage("pool", x).unwrap();
        let network = b.finish().unwrap();
        let stage = network.stage("pool").unwrap();
        let (shape, field) = (stage.shape.clone(), stage.receptive_field);
        let places = shape[1] * shape[2];
        let metamer = (0..stage.units()).map(|i| 1.0 + (i % places) as f32 / places as f32).collect();
        let target = Features { name: "pool".into(), original: vec![1.0; stage.units()], shape, field, metamer };
        Comparison { original: stimulus.clone(), metamer: stimulus, targets: vec![target], network }
    }

    #[test]
    fn errors_lie_around_the_centers_of_receptive_fields() {
        let (width, height) = (12, 8);
        let b = Builder::new("picture", Input::Image { shape: [3, height, width], resize: height });
        let black = Image::from_gray("black", width, height, vec![0.0; width * height]).unwrap();
        let x = b.input();
        let comparison = at_pool(b, x, black.into());
        let (map, overlay) = (comparison.error_map(0).unwrap().raster(), comparison.error_overlay(0).unwrap());
        assert_eq!((map.width(), map.height()), (6, 4));
        for (i, found) in overlay.rgb().chunks_exact(3).enumerate() {
            // The units are centered at every second pixel, so the last row and the last column belong to none.
            let (row, column) = ((i / width).div_ceil(2), (i % width).div_ceil(2));
            let color = |c: usize| if row < 4 && column < 6 { map.rgb()[3 * (6 * row + column) + c] / 2 } else { 0 };
            assert_eq!(found, [0, 1, 2].map(color), "pixel {i}");
        }
    }

    #[test]
    fn maps_of_sounds_have_the_axes_of_the_front_end() {
        let silence = Sound::from_samples("silence", 20_000, vec![0.0; 4000]).unwrap();
        let input = |samples: usize| Input::Sound { samples, sample_rate: 20_000 };
        let axes = |b: Builder, x: NodeId| {
            let map = at_pool(b, x, silence.clone().into()).error_map(0).unwrap();
            let raster = map.raster();
            // The error grows from row to row; red grows with it.
            (map.axes_in_words(), raster.rgb()[0] < raster.rgb()[raster.rgb().len() - 3])
        };
        let preset = CochleagramConfig::feather2023();
        let config = CochleagramConfig { samples: 4000, filters: 6, sample_factor: 2, ..preset };
        let mut b = Builder::new("cochleagram", input(4000));
        let x = b.layer(Cochleagram::new(config).unwrap(), &[b.input()]).unwrap();
        let expected = "time (s) to the right, 0.02 to 0.17; frequency (kHz) upwards".to_string();
        assert_eq!(axes(b, x), (expected, false));
        let preset = LogMelConfig { sample_rate: 20_000, samples: 4000, ..LogMelConfig::efficient_word_net() };
        let config = LogMelConfig { win_length: 440, n_mels: 8, ..preset };
        let mut b = Builder::new("log mel", input(4000));
        let x = b.layer(LogMel::new(config).unwrap(), &[b.input()]).unwrap();
        let expected = "mel filter to the right, −1 to 7; time (s) downwards, 0.011 to 0.187".to_string();
        assert_eq!(axes(b, x), (expected, true));
        let mut b = Builder::new("samples", input(4000));
        let x = b.layer(Standardize { samples: 4000 }, &[b.input()]).unwrap();
        assert_eq!(axes(b, x), ("time (s) downwards, 0 to 0.2".to_string(), true));
    }
}
