//! Regions of a picture, and the units that see them.

use serde::{Deserialize, Serialize};

use crate::network::{Input, Network, Stage};
use crate::stimulus::{Image, Stimulus};
use crate::{Error, Result};

/// A part of a picture, in pixels of the network's input.
///
/// A unit of a stage belongs to a region if the pixel nearest to the center of its receptive field does. The centers follow the kernels,
/// strides and paddings of all layers (Araujo, Norris & Sim, Distill 2019): at `block5` of EfficientNet-Lite0 they are at 15, 31, .. 223
/// along each axis, at `layer4` of ResNet-50 at 0, 32, .. 192. A receptive field is larger than that pixel, so units near the edge of a
/// region also see what is outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Region {
    /// A rectangle.
    Window {
        /// The first row and the first column.
        first: [usize; 2],
        /// The height and the width.
        size: [usize; 2],
    },
    /// The pixels of a mask.
    Mask(Mask),
    /// A region of a file that an earlier version saved, with the units of that version's rule: along an axis of `n` pixels, the center of
    /// unit `i` of `m` that are `s` pixels apart was taken to be `(n - 1) / 2 + (i - (m - 1) / 2) s`.
    OnCenteredGrid(Box<Region>),
}

/// A set of pixels, stored as the lengths of runs outside and inside in turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mask {
    width: usize,
    height: usize,
    runs: Vec<usize>,
}

impl Mask {
    /// The pixels of an image whose mean over the colors is at least 0.5: white is inside.
    #[must_use]
    pub fn from_image(image: &Image) -> Self {
        let plane = image.width() * image.height();
        let is_inside = |i: usize| {
            let sum: f32 = image.values()[i..].iter().step_by(plane).sum();
            sum / image.channels() as f32 >= 0.5
        };
        let mut runs = vec![0];
        for i in 0..plane {
            if is_inside(i) == runs.len().is_multiple_of(2) {
                *runs.last_mut().expect("never empty") += 1;
            } else {
                runs.push(1);
            }
        }
        Self { width: image.width(), height: image.height(), runs }
    }

    /// The mask as an image, white inside.
    ///
    /// # Errors
    /// For a mask of a damaged file.
    pub fn to_image(&self) -> Result<Image> {
        let pixels = self.pixels().into_iter().map(|inside| if inside { 1.0 } else { 0.0 });
        Image::from_gray("mask", self.width, self.height, pixels.collect())
    }

    /// The number of pixels inside.
    #[must_use]
    pub fn count(&self) -> usize {
        // Saturates, because a damaged file may hold runs of any length.
        self.runs.iter().skip(1).step_by(2).fold(0, |sum: usize, &run| sum.saturating_add(run))
    }

    fn pixels(&self) -> Vec<bool> {
        let runs = self.runs.iter().enumerate();
        // A damaged file may hold runs of any length.
        let limit = self.width.saturating_mul(self.height).min(1 << 28);
        runs.flat_map(|(i, &length)| std::iter::repeat_n(i % 2 == 1, length.min(limit))).take(limit).collect()
    }
}

impl Region {
    /// The region in the network's input: a mask is resized and cropped as [`Network::prepare`] does with a photo.
    pub(super) fn prepared(&self, network: &Network) -> Result<Self> {
        let [height, width] = input_size(network)?;
        match self {
            &Self::Window { first, size } => {
                let inside = |axis: usize, length: usize| {
                    size[axis] > 0 && first[axis].checked_add(size[axis]).is_some_and(|end| end <= length)
                };
                if inside(0, height) && inside(1, width) {
                    return Ok(self.clone());
                }
                let reason = format!(
                    "{} x {} pixels from row {} and column {} on is empty or outside the picture of {height} x {width}",
                    size[0], size[1], first[0], first[1]
                );
                Err(Error::invalid("window", reason))
            }
            Self::OnCenteredGrid(region) => Ok(Self::OnCenteredGrid(Box::new(region.prepared(network)?))),
            Self::Mask(mask) if (mask.height, mask.width) == (height, width) => check_mask(mask).map(|()| self.clone()),
            Self::Mask(mask) => {
                let Stimulus::Image(image) = network.prepare(mask.to_image()?)? else {
                    return Err(Error::invalid("mask", "is for networks of images"));
                };
                let mask = Mask::from_image(&image);
                check_mask(&mask).map(|()| Self::Mask(mask))
            }
        }
    }

    /// The places of a stage, row by row, whose units belong to the region.
    pub(in crate::synthesis) fn places(&self, network: &Network, stage: &Stage) -> Result<Vec<usize>> {
        let invalid = |reason: String| Error::invalid(format!("region at stage \"{}\"", stage.name), reason);
        let field = stage.receptive_field;
        let (&[_, rows, columns], Some(_)) = (stage.shape.as_slice(), field.size) else {
            let reason = "selects no units: each of them depends on the whole picture; use an earlier stage";
            return Err(invalid(reason.into()));
        };
        let (size, step, counts) = (input_size(network)?, field.step, [rows, columns]);
        let last = |axis: usize| (size[axis] - 1) as f64;
        let center = |axis: usize, unit: usize| match self {
            Self::OnCenteredGrid(_) => {
                let offset = unit as f64 - (counts[axis] - 1) as f64 / 2.0;
                last(axis) / 2.0 + offset * step[axis] as f64
            }
            _ => field.center(axis, unit).unwrap_or_default(),
        };
        let pixel = |axis: usize, unit: usize| (center(axis, unit) + 0.5).floor().clamp(0.0, last(axis)) as usize;
        let shape = self.shape();
        let mask = if let Self::Mask(mask) = shape { mask.pixels() } else { vec![] };
        let contains = |y: usize, x: usize| match shape {
            Self::Window { first, size } => {
                (first[0]..first[0] + size[0]).contains(&y) && (first[1]..first[1] + size[1]).contains(&x)
            }
            _ => mask.get(y * size[1] + x).copied().unwrap_or_default(),
        };
        let inside = |place: &usize| contains(pixel(0, place / columns), pixel(1, place % columns));
        let places: Vec<usize> = (0..rows * columns).filter(inside).collect();
        if places.is_empty() {
            return Err(invalid(format!(
                "is empty: no unit has the center of its receptive field there, because units are {} x {} pixels apart; use a larger \
                 region or an earlier stage",
                step[0], step[1]
            )));
        }
        Ok(places)
    }

    /// The region as a file of an earlier version defines it.
    pub(in crate::synthesis) fn on_centered_grid(self) -> Self {
        match self {
            Self::OnCenteredGrid(_) => self,
            _ => Self::OnCenteredGrid(Box::new(self)),
        }
    }

    /// The window or the mask.
    fn shape(&self) -> &Self {
        match self {
            Self::OnCenteredGrid(region) => region.shape(),
            _ => self,
        }
    }
}

fn check_mask(mask: &Mask) -> Result<()> {
    match mask.count() {
        0 => Err(Error::invalid(
            "mask",
            "is empty after the crop to the network's input; pixels of at least 0.5 are inside",
        )),
        _ => Ok(()),
    }
}

/// Height and width of the images that a network takes.
fn input_size(network: &Network) -> Result<[usize; 2]> {
    match *network.input() {
        Input::Image { shape: [_, height, width], .. } => Ok([height, width]),
        Input::Sound { .. } => {
            let reason = format!("are for images, and {} takes sounds; select channels instead", network.name());
            Err(Error::invalid("regions", reason))
        }
    }
}

impl std::fmt::Display for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Window { first, size } => {
                write!(f, "window of {} x {} pixels at ({}, {})", size[0], size[1], first[0], first[1])
            }
            Self::Mask(mask) => write!(f, "mask of {} pixels", mask.count()),
            Self::OnCenteredGrid(region) => write!(f, "{region}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Builder;
    use crate::ops::{Conv2d, Conv2dConfig, Frozen, Padding};
    use crate::stimulus::Noise;
    use crate::synthesis::{Provenance, Synthesis, Target};
    use candle_core::{Device, Tensor};

    fn ramp(width: usize, height: usize) -> Image {
        let values = (0..width * height).map(|i| if (i % width) * 2 >= width { 1.0 } else { 0.0 }).collect();
        Image::from_gray("right half", width, height, values).unwrap()
    }

    fn window(first: [usize; 2], size: [usize; 2]) -> Region {
        Region::Window { first, size }
    }

    const INPUT: Input = Input::Image { shape: [3, 20, 16], resize: 20 };

    /// A convolution with stride 2 and symmetric padding: its 10 x 8 units are centered at 0, 2, 4, ..
    fn strided() -> Conv2d {
        let values: Vec<f32> = (0..4 * 27).map(|i: i32| (12.9898 * f64::from(i * i)).sin() as f32).collect();
        let weight = Tensor::from_vec(values, (4, 3, 3, 3), &Device::Cpu).unwrap();
        let config = Conv2dConfig { stride: [2; 2], padding: Padding::all(1), ..Conv2dConfig::default() };
        Conv2d::new(&weight, None, config).unwrap()
    }

    fn network() -> Network {
        let mut b = Builder::new("strided", INPUT);
        let x = b.conv2d(b.input(), strided()).unwrap();
        b.stage("conv", x).unwrap();
        b.finish().unwrap()
    }

    #[test]
    fn a_mask_is_its_image() {
        let mask = Mask::from_image(&ramp(6, 3));
        assert_eq!((mask.count(), mask.runs.as_slice()), (9, [3, 3, 3, 3, 3, 3].as_slice()));
        assert_eq!(Mask::from_image(&mask.to_image().unwrap()), mask);
        let json = serde_json::to_string(&Region::Mask(mask.clone())).unwrap();
        assert_eq!(serde_json::from_str::<Region>(&json).unwrap(), Region::Mask(mask));
    }

    #[test]
    fn runs_of_any_length_are_counted_without_overflow() {
        let damaged = Mask { width: 2, height: 1, runs: vec![0, usize::MAX, usize::MAX, usize::MAX] };
        assert_eq!((damaged.count(), damaged.pixels()), (usize::MAX, vec![true; 2]));
    }

    #[test]
    fn units_belong_where_their_fields_are_centered() {
        let net = crate::zoo::efficientnet_lite0().unwrap();
        let block5 = net.stage("block5").unwrap();
        assert_eq!((block5.shape.as_slice(), block5.receptive_field.step), ([80, 14, 14].as_slice(), [16, 16]));
        // TensorFlow's `SAME` padding has its odd pixel at the end: centers are at 15, 31, 47, ..
        let centers = [("block2", 3.0), ("block5", 15.0), ("block11", 31.0), ("features", 31.0)];
        for (stage, center) in centers {
            let field = net.stage(stage).unwrap().receptive_field;
            assert_eq!([0, 1].map(|axis| field.center(axis, 0)), [Some(center); 2], "{stage}");
        }
        assert_eq!(window([0, 0], [16, 32]).places(&net, block5).unwrap(), [0, 1]);
        assert_eq!(window([0, 0], [224, 224]).places(&net, block5).unwrap().len(), 196);
        let error = window([0, 0], [15, 15]).places(&net, block5).unwrap_err().to_string();
        assert!(error.contains("16 x 16 pixels apart"), "{error}");
        let features = net.stage("features").unwrap();
        assert!(window([0, 0], [28, 28]).places(&net, features).unwrap_err().to_string().contains("is empty"));
        assert_eq!(window([4, 4], [28, 28]).places(&net, features).unwrap(), [0]);
        let half = Region::Mask(Mask::from_image(&ramp(224, 224)));
        let places = half.places(&net, block5).unwrap();
        assert!(places.len() == 98 && places.iter().all(|place| place % 14 >= 7));
        let logits = net.stage("logits").unwrap();
        assert!(half.places(&net, logits).unwrap_err().to_string().contains("whole picture"));
        for outside in [window([0, 0], [0, 5]), window([220, 0], [5, 5]), window([0, usize::MAX], [5, 5])] {
            assert!(outside.prepared(&net).unwrap_err().to_string().contains("224 x 224"));
        }
        let black = Image::from_gray("black", 300, 200, vec![0.0; 60_000]).unwrap();
        let error = Region::Mask(Mask::from_image(&black)).prepared(&net).unwrap_err().to_string();
        assert!(error.contains("empty"), "{error}");
    }

    #[test]
    fn units_of_layers_and_of_modules_have_the_same_places() {
        let conv = strided();
        let module = Network::from_module("module", INPUT, move |x, mark| mark.stage("conv", conv.apply(x)?)).unwrap();
        for net in [network(), module] {
            let stage = net.stage("conv").unwrap();
            assert_eq!(window([0, 0], [1, 1]).places(&net, stage).unwrap(), [0], "{net:?}");
            assert_eq!(window([0, 0], [3, 3]).places(&net, stage).unwrap(), [0, 1, 8, 9], "{net:?}");
            assert!(window([19, 15], [1, 1]).places(&net, stage).is_err(), "{net:?}");
        }
    }

    #[test]
    fn files_of_earlier_versions_keep_their_units() {
        let net = network();
        let stage = net.stage("conv").unwrap();
        let noise = Image::noise(16, 20, Noise::Uniform { low: 0.1, high: 0.9 }, 1).unwrap();
        let plan = Synthesis::new(&net, Target::stage("conv").window([0, 0], [3, 3]), noise).unwrap();
        let provenance = Provenance::new(&plan);
        let region = |provenance: &Provenance| {
            provenance.prepared_goal(&net).unwrap().matched.parts()[0].region.clone().unwrap()
        };
        assert_eq!(region(&provenance).places(&net, stage).unwrap(), [0, 1, 8, 9]);
        let mut json = serde_json::to_value(&provenance).unwrap();
        let reopened: Provenance = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(reopened, provenance);
        json.as_object_mut().unwrap().remove("states_region_rule").unwrap();
        let earlier: Provenance = serde_json::from_value(json).unwrap();
        // Units were taken for centered on the picture: at 0.5, 2.5, .., whose nearest pixels are 1, 3, ..
        assert_eq!(region(&earlier).places(&net, stage).unwrap(), [0]);
        // Saved again, the file states the rule.
        let resumed = Synthesis { goal: earlier.prepared_goal(&net).unwrap(), ..plan };
        let again = serde_json::to_string(&Provenance::new(&resumed)).unwrap();
        let again: Provenance = serde_json::from_str(&again).unwrap();
        assert_eq!(region(&again), region(&earlier));
    }
}
