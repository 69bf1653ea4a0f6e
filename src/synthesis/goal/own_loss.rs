//! A loss of the user's own on features.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::function::{check_function, value_and_gradient};
use crate::Result;

type Function = dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync;

/// A loss of your own: a candle function of the features of the metamer and of the original that returns one number.
///
/// The features are activations after the stage's rectifier, `[channels, height, width]` for a whole stage, `[channels, places]` for a
/// part of it; channel means are `[channels]`, Gram matrices `[channels, channels]`. They are float32 (the gradient check may call
/// the function with float64). The loss of several targets is the weighted sum of the function of each. The gradient passes the stage's
/// rectifier as that of a ReLU, whatever the recipe's `identity_gradient`.
///
/// ```
/// use metamers::prelude::*;
/// use metamers::synthesis::OwnLoss;
///
/// let net = zoo::efficientnet_lite0()?;
/// let dog = Image::open("photos/dog.jpg")?;
/// let cosine = OwnLoss::new("cosine", |metamer, original| {
///     let norm = |a: &Tensor| a.sqr()?.sum_all()?.sqrt();
///     let product = ((metamer * original)?.sum_all()? / (norm(metamer)? * norm(original)?)?)?;
///     Ok((1.0 - product)?)
/// });
/// let mut run = Synthesis::new(&net, "stem", &dog)?.loss(cosine)?.seed(7).quiet().start()?;
/// run.step(3)?;
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct OwnLoss {
    name: String,
    function: Arc<Function>,
}

impl OwnLoss {
    /// A loss with this name, which the provenance records. [`Synthesis::loss`](super::super::Synthesis::loss) checks its gradient.
    pub fn new<F>(name: impl Into<String>, function: F) -> Self
    where
        F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
    {
        Self { name: name.into(), function: Arc::new(function) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name in errors.
    fn error_name(&self) -> String {
        format!("the loss \"{}\"", self.name)
    }

    /// Compares candle's gradient with finite differences, between the features of the original and others.
    pub(in crate::synthesis) fn check(&self, shape: &[usize], original: &[f32], other: &[f32]) -> Result<()> {
        let target = Tensor::from_slice(original, shape, &Device::Cpu)?;
        // Behind a rectifier many features are 0, where a function may not be differentiable.
        let rms = (other.iter().map(|&a| f64::from(a).powi(2)).sum::<f64>() / other.len() as f64).sqrt() as f32;
        let noise = |i: usize| 0.1 * rms * ((i * 7919 % 1009) as f32 / 1009.0);
        let other: Vec<f32> = other.iter().enumerate().map(|(i, a)| a + noise(i)).collect();
        let at = Tensor::from_vec(other, shape, &Device::Cpu)?;
        check_function(&self.error_name(), &at, |x| (self.function)(x, &target.to_dtype(x.dtype())?))
    }

    /// The loss at these features, and its gradient with respect to them.
    pub(in crate::synthesis) fn evaluate(
        &self,
        shape: &[usize],
        metamer: &[f32],
        original: &[f32],
    ) -> Result<(f64, Vec<f32>)> {
        let tensor = |values: &[f32]| Tensor::from_slice(values, shape, &Device::Cpu);
        let original = tensor(original)?;
        value_and_gradient(&self.error_name(), &tensor(metamer)?, |x| (self.function)(x, &original))
    }
}

/// Compares names: functions have no equality.
impl PartialEq for OwnLoss {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for OwnLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnLoss({})", self.name)
    }
}
