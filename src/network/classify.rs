//! What a network says an image is.

use candle_core::Tensor;

use super::Network;
use crate::display::{Bars, Bundle, Figure, Panel, Show};
use crate::stimulus::Image;
use crate::{Error, Result};

/// One answer of a classifier.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Guess {
    /// Index of the class.
    pub class: usize,
    /// Name of the class.
    pub name: String,
    /// Softmax probability.
    pub probability: f64,
}

/// The likeliest classes, likeliest first.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Classification {
    /// The classes.
    pub guesses: Vec<Guess>,
}

impl Classification {
    /// The likeliest class.
    pub fn top(&self) -> &Guess {
        &self.guesses[0]
    }
}

impl Network {
    /// The `k` likeliest classes of an image, which is resized and cropped as the network expects.
    ///
    /// # Errors
    /// When the network is no classifier, `k` is 0, or the image is too small to crop.
    pub fn classify(&self, image: &Image, k: usize) -> Result<Classification> {
        self.classify_tensor(&self.prepare(image)?.to_tensor()?, k)
    }

    /// The `k` likeliest classes of one image `[1, channels, height, width]` in `[0, 1]`.
    ///
    /// # Errors
    /// As [`Network::classify`].
    pub fn classify_tensor(&self, x: &Tensor, k: usize) -> Result<Classification> {
        let (Some(classes), Some(last)) = (self.classes(), self.stages().last()) else {
            return Err(Error::invalid(self.name(), "is no classifier: it has no class names"));
        };
        if k == 0 {
            return Err(Error::invalid("k", "asks for no class; 1 gives the likeliest"));
        }
        if x.dims().first() != Some(&1) {
            return Err(Error::shape("the input of classify_tensor", "[1, channels, height, width]", x.dims()));
        }
        let logits = crate::ops::values(&self.run_to(last.node, x)?)?;
        crate::finite::check(|| format!("the logits of {}", self.name()), &logits)?;
        let highest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let weights: Vec<f64> = logits.iter().map(|&l| f64::from(l - highest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let guess = |&class: &usize| Guess { class, name: classes[class].clone(), probability: weights[class] / total };
        Ok(Classification { guesses: order.iter().take(k).map(guess).collect() })
    }

    /// A photo as the network takes it: shorter side to [`Input::resize`](super::Input::resize), centre crop.
    ///
    /// An image that already has the input's size is returned as it is.
    ///
    /// # Errors
    /// When the network does not take colour images.
    pub fn prepare(&self, image: &Image) -> Result<Image> {
        let [channels, height, width] = self.input().shape;
        if channels != 3 {
            return Err(Error::invalid(self.name(), format!("takes {channels} channels, and images have 3")));
        }
        if (image.height(), image.width()) == (height, width) {
            return Ok(image.clone());
        }
        image.resize_shorter_side(self.input().resize.max(height).max(width))?.centre_crop(width, height)
    }
}

impl Show for Classification {
    fn bundles(&self) -> Vec<Bundle> {
        let bars = self.guesses.iter().map(|g| (g.name.clone(), g.probability));
        let lines = self.guesses.iter().map(|g| format!("{:6.2} %  {}", 100.0 * g.probability, g.name));
        let text = lines.collect::<Vec<_>>().join("\n");
        let alt = format!("Class probabilities: {}", text.replace('\n', "; "));
        let figure =
            Figure::new(alt).width(460.0).row([Panel::bars(Bars::new("network's answer").bars(bars).highlight(0))]);
        vec![figure.bundle(text)]
    }
}

crate::show_in_notebooks!(Classification);
