//! Labelled data sets.

use std::sync::Arc;

use candle_core::{Device, Module, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::display::{Figure, MimeBundle, Panel, Raster, Show};
use crate::stimulus::Image;
use crate::{Error, Result};

/// Labelled examples: inputs, a class index for each, and the names of the classes.
///
/// ```
/// use metamers::prelude::training::*;
///
/// let examples = Cutouts::new(32)?.generate(20, 1)?.by_shape()?;
/// let (inputs, labels) = examples.batch(8, 7, 0)?;
/// assert_eq!(inputs.dims(), [8, 3, 32, 32]);
/// assert_eq!(labels.dims(), [8]);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct Dataset {
    inputs: Tensor,
    labels: Arc<[u32]>,
    classes: Arc<[String]>,
}

impl Dataset {
    /// Creates a data set from float32 inputs `[examples, ..]`, the class index of each, and the names of the classes.
    ///
    /// # Errors
    /// Fails without examples, for fewer than two classes, unequal numbers of labels and inputs, a label out of range, and values
    /// that are not finite.
    pub fn new<T: Into<String>>(
        inputs: Tensor,
        labels: Vec<u32>,
        classes: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let classes: Arc<[String]> = classes.into_iter().map(Into::into).collect();
        if classes.len() < 2 {
            return Err(Error::invalid("classes", format!("must be at least 2, got {}", classes.len())));
        }
        if labels.is_empty() || inputs.dims().first() != Some(&labels.len()) {
            let expected = format!("[{}, ..], one input for each label and at least one", labels.len());
            return Err(Error::shape("the inputs of examples", expected, inputs.dims()));
        }
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes.len()) {
            let reason = format!(
                "{label} is out of range; {} classes have the labels 0 to {}",
                classes.len(),
                classes.len() - 1
            );
            return Err(Error::invalid("label", reason));
        }
        crate::finite::check(|| "the inputs of examples".into(), &crate::ops::values(&inputs)?)?;
        Ok(Self { inputs, labels: labels.into(), classes })
    }

    /// Creates a data set from images of one size and the class index of each. Grey images get three equal channels.
    ///
    /// # Errors
    /// Fails like [`Dataset::new`], and for images of different sizes.
    pub fn from_images<T: Into<String>>(
        images: &[Image],
        labels: Vec<u32>,
        classes: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let Some(first) = images.first() else {
            return Err(Error::invalid("examples", "must have at least one image"));
        };
        let (width, height) = (first.width(), first.height());
        let mut values = Vec::with_capacity(images.len() * 3 * width * height);
        for image in images {
            if (image.width(), image.height()) != (width, height) {
                let (w, h) = (image.width(), image.height());
                let reason =
                    format!("\"{}\" has {w} x {h} pixels, but the first image has {width} x {height}", image.name());
                return Err(Error::invalid("examples", reason));
            }
            values.extend_from_slice(image.to_rgb().values());
        }
        let inputs = Tensor::from_vec(values, (images.len(), 3, height, width), &Device::Cpu)?;
        Self::new(inputs, labels, classes)
    }

    /// The number of examples; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The inputs, `[examples, ..]`.
    #[must_use]
    pub fn inputs(&self) -> &Tensor {
        &self.inputs
    }

    /// The class index of each example.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The chance level: the fraction of the most frequent class.
    #[must_use]
    pub fn chance(&self) -> f64 {
        let count = |class: usize| self.labels.iter().filter(|&&label| label as usize == class).count();
        (0..self.classes.len()).map(count).max().unwrap_or(0) as f64 / self.len() as f64
    }

    /// Draws `size` inputs and their labels, `[size]`, with replacement; the seed and the step determine the batch.
    ///
    /// # Errors
    /// Fails for a size of 0 or above 1,048,576 (2^20).
    pub fn batch(&self, size: usize, seed: u64, step: usize) -> Result<(Tensor, Tensor)> {
        if size == 0 {
            return Err(Error::invalid("batch", "must hold at least 1 example; 32 is usual"));
        }
        if size > MAX_BATCH {
            return Err(Error::invalid("batch", format!("must hold at most {MAX_BATCH} examples, got {size}")));
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(step as u64);
        let chosen: Vec<u32> = (0..size).map(|_| random.random_range(0..self.len() as u32)).collect();
        let labels: Vec<u32> = chosen.iter().map(|&index| self.labels[index as usize]).collect();
        let inputs = self.inputs.index_select(&Tensor::from_vec(chosen, size, &Device::Cpu)?, 0)?;
        Ok((inputs, Tensor::from_vec(labels, size, &Device::Cpu)?))
    }

    /// Counts the examples that a module classifies correctly, by the largest of its outputs `[batch, classes]`.
    ///
    /// # Errors
    /// Fails if the module fails, or if its number of outputs is not the number of classes.
    pub fn count_correct(&self, module: &(impl Module + ?Sized)) -> Result<usize> {
        let mut correct = 0;
        for first in (0..self.len()).step_by(EVALUATION_BATCH) {
            let count = EVALUATION_BATCH.min(self.len() - first);
            let logits = module.forward(&self.inputs.narrow(0, first, count)?)?;
            if logits.dims() != [count, self.classes.len()] {
                let expected = format!("[{count}, {}], one value for each class", self.classes.len());
                return Err(Error::shape("the module's output", expected, logits.dims()));
            }
            let predictions = logits.argmax(1)?.to_vec1::<u32>()?;
            correct +=
                predictions.iter().zip(&self.labels[first..]).filter(|(prediction, label)| prediction == label).count();
        }
        Ok(correct)
    }
}

/// The maximum batch size.
pub(super) const MAX_BATCH: usize = 1 << 20;
/// Batch size of an evaluation.
const EVALUATION_BATCH: usize = 50;

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dataset({} of {})", self.len(), self.classes.join(", "))
    }
}

impl Show for Dataset {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let text = format!("{} examples of {} classes: {}", self.len(), self.classes.len(), self.classes.join(", "));
        let &[_, 3, height, width] = self.inputs.dims() else { return vec![MimeBundle::text(text)] };
        let panel = |index: usize| -> Result<Panel> {
            let values = crate::ops::values(&self.inputs.get(index)?)?;
            let name = &self.classes[self.labels[index] as usize];
            Ok(Panel::picture("", Raster::from_planar(width, height, &values)).caption(name))
        };
        let mut figure = Figure::new(format!("The first of {text}"));
        let panels: Vec<Panel> = (0..self.len().min(16)).filter_map(|index| panel(index).ok()).collect();
        for row in panels.chunks(8) {
            figure.push(row.to_vec());
        }
        vec![figure.bundle(text)]
    }
}

crate::show_in_notebooks!(Dataset);
