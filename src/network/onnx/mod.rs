//! Networks from ONNX files.

mod arithmetic;
mod attributes;
mod budget;
mod constant;
mod import;
mod inputs;
mod linear;
mod proto;
mod reachability;
mod reshape;
mod unsupported;
mod value;
mod window;
mod wire;

use std::path::Path;

use prost::Message;

use super::weights::foreign;
use super::{Network, WeightsSource};
use crate::fs::{assets, files, sha256};
use crate::{Error, Result};

/// Options of [`Network::from_onnx`]: preprocessing of the image, nodes that become stages, names of the classes.
///
/// An image in `[0, 1]` is by default normalised as in torchvision for ImageNet, `(x - mean) / deviation` with the means 0.485,
/// 0.456, 0.406 and the deviations 0.229, 0.224, 0.225 of red, green and blue. The default stages are all rectifiers, all pools and
/// the output.
///
/// An ONNX file does not state the preprocessing that its network was trained with: see the documentation of its source.
#[derive(Clone, Debug)]
pub struct OnnxOptions {
    preprocessing: Preprocessing,
    reverse_channels: bool,
    size: Option<[usize; 2]>,
    resize: Option<usize>,
    stages: Vec<(String, String)>,
    classes: Option<Vec<String>>,
}

/// The preprocessing of an image: a scale and a shift for each channel.
#[derive(Clone, Debug)]
enum Preprocessing {
    Unchanged,
    /// The default, for three channels.
    ImageNet,
    Affine(Vec<f32>, Vec<f32>),
}

impl Default for OnnxOptions {
    fn default() -> Self {
        let preprocessing = Preprocessing::ImageNet;
        Self { preprocessing, reverse_channels: false, size: None, resize: None, stages: vec![], classes: None }
    }
}

impl OnnxOptions {
    /// Normalises the image to `(x - mean) / deviation`, with `x` in `[0, 1]` and one mean and deviation per channel, in the file's
    /// channel order.
    ///
    /// # Errors
    /// When `mean` and `deviation` differ in length, are empty or not finite, or a deviation is 0.
    pub fn normalize(self, mean: &[f32], deviation: &[f32]) -> Result<Self> {
        if mean.len() != deviation.len() || deviation.contains(&0.0) || mean.is_empty() {
            let reason =
                format!("needs a mean and a deviation other than 0 for each channel, got {mean:?} and {deviation:?}");
            return Err(Error::invalid("normalise", reason));
        }
        let scale: Vec<f32> = deviation.iter().map(|d| 1.0 / d).collect();
        let shift: Vec<f32> = mean.iter().zip(&scale).map(|(m, s)| -m * s).collect();
        if scale.iter().chain(&shift).any(|v| !v.is_finite()) {
            return Err(Error::invalid("normalise", format!("takes finite numbers, got {mean:?} and {deviation:?}")));
        }
        Ok(Self { preprocessing: Preprocessing::Affine(scale, shift), ..self })
    }

    /// Maps the image's values from `[0, 1]` to `[low, high]`: 0 and 255 for bytes, -1 and 1 for TensorFlow's Inception.
    ///
    /// # Errors
    /// When `low` and `high` are equal or not finite.
    pub fn range(self, low: f32, high: f32) -> Result<Self> {
        if low == high || !(high - low).is_finite() {
            return Err(Error::invalid("range", format!("takes two different finite numbers, got {low} and {high}")));
        }
        Ok(Self { preprocessing: Preprocessing::Affine(vec![high - low], vec![low]), ..self })
    }

    /// Passes the image unchanged, with values in `[0, 1]`.
    #[must_use]
    pub fn unchanged(self) -> Self {
        Self { preprocessing: Preprocessing::Unchanged, ..self }
    }

    /// Passes the channels in BGR order, as networks from Caffe and OpenCV expect. The means and deviations of
    /// [`OnnxOptions::normalize`] are in that order too.
    #[must_use]
    pub fn bgr(self) -> Self {
        Self { reverse_channels: true, ..self }
    }

    /// Sets the size of the input, `[height, width]` in pixels, for a file with dynamic sizes.
    #[must_use]
    pub fn size(self, size: [usize; 2]) -> Self {
        Self { size: Some(size), ..self }
    }

    /// Sets a photo's shorter side before the centre crop, in pixels. The default is 256 for an input of 224, and in proportion for
    /// other sizes.
    #[must_use]
    pub fn resize(self, shorter_side: usize) -> Self {
        Self { resize: Some(shorter_side), ..self }
    }

    /// Makes a node a stage with this name. `node` is the name of a node or of its output, as shown by Netron.
    ///
    /// The named stages then replace the default ones, and only the nodes that they depend on are read: nodes after the last stage may
    /// be unsupported.
    #[must_use]
    pub fn stage(mut self, name: impl Into<String>, node: impl Into<String>) -> Self {
        self.stages.push((name.into(), node.into()));
        self
    }

    /// Sets the names of the classes, one for each unit of the last stage.
    #[must_use]
    pub fn classes(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { classes: Some(names.into_iter().map(Into::into).collect()), ..self }
    }
}

impl Network {
    /// Reads a convolutional classifier from an ONNX file written by PyTorch's or TensorFlow's exporter.
    ///
    /// Every node becomes a layer of the graph, so the network is compiled like those of the zoo; batch normalisations stay separate
    /// layers, which the compiled plan folds into the preceding convolutions. A relative path that does not exist is looked up among the
    /// files that ship with the project.
    ///
    /// The stages are every `Relu`, `Clip` and pool, and the output, unless [`OnnxOptions::stage`] selects others. They are named after
    /// their nodes, or after the output of a node without a name. A final `Softmax` is dropped, so the last stage holds logits.
    ///
    /// The `source` of [`Network::weights_source`] contains the file's SHA-256. Its `weights_sha256` covers the layers including the
    /// preprocessing, so the same file with another preprocessing is another network.
    ///
    /// | | supported |
    /// | --- | --- |
    /// | convolutions | 2-D `Conv` with groups, dilation, asymmetric padding, `auto_pad`; a preceding `Pad` with zeros |
    /// | matrices | `Gemm`, `MatMul` with a constant |
    /// | normalisation, rectifiers | `BatchNormalization`, `Relu`, `Clip` from 0 |
    /// | pools | `MaxPool`, `AveragePool`, `GlobalAveragePool`, `GlobalMaxPool`, `ReduceMean` over the image |
    /// | arithmetic | `Add`, `Sub`, `Mul`, `Div` with a scalar or one value per channel; `Add` and `Sum` of tensors of the same shape; `Concat` of channels |
    /// | shapes | `Flatten`, `Reshape`, `Squeeze`, `Unsqueeze` of vectors and to vectors; `Transpose` between channels-first and channels-last |
    /// | no operation | `Identity`, `Dropout`, `Cast` to float32; final `Softmax` and `LogSoftmax` |
    /// | constants | `Constant`, and `Shape`, `Gather`, `Concat`, `Unsqueeze`, `Squeeze`, `Cast` of sizes |
    ///
    /// The input is a batch of images, `[batch, channels, height, width]` or `[batch, height, width, channels]`, with 3 channels, or with 1
    /// for grey photos.
    ///
    /// ```
    /// use metamers::network::{Network, OnnxOptions};
    ///
    /// let net = Network::from_onnx("tests/data/onnx/mobile.onnx", OnnxOptions::default())?;
    /// assert_eq!(net.stage("node_relu")?.shape, [8, 14, 13]);
    ///
    /// // Custom stages and Caffe's preprocessing: bytes in BGR order with the means subtracted.
    /// let caffe = OnnxOptions::default().normalize(&[0.408, 0.459, 0.482], &[1.0 / 255.0; 3])?.bgr();
    /// let options = caffe.stage("conv1", "node_relu").stage("features", "node_relu6");
    /// let net = Network::from_onnx("tests/data/onnx/mobile.onnx", options)?;
    /// assert_eq!(net.stages().len(), 2);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read, is truncated or is not an ONNX model; when a node or an attribute is not supported
    /// (the message gives the node's operator, name and position in the file); when weights are in an external file or are not finite, or all constants together are
    /// much larger than the file;
    /// and when the input has a dynamic size (see [`OnnxOptions::size`]). [`Error::Unknown`] for a stage whose node does not exist.
    pub fn from_onnx(path: impl AsRef<Path>, options: OnnxOptions) -> Result<Self> {
        let path = &*assets::find(path.as_ref())?;
        let bytes = files::read(path)?;
        let digest = sha256::hex_digest(&bytes);
        wire::check_size(&bytes).map_err(|reason| Error::file(path, reason))?;
        let model = proto::Model::decode(bytes.as_slice()).map_err(|e| {
            let kind = foreign::kind(&bytes).map_or_else(|| format!("({e})"), |kind| format!("({e}): it {kind}"));
            Error::file(path, format!("is not a valid ONNX file {kind}"))
        })?;
        let budget = budget::Budget::new(bytes.len());
        drop(bytes);
        let file = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let source = format!("{} (SHA-256 {digest})", file(path.file_name()));
        // Empty, so that the builder hashes the layers: the file's hash would not cover the preprocessing.
        let provenance = WeightsSource { source, weights_sha256: String::new() };
        import::network(path, file(path.file_stem()), model, options, provenance, budget)
    }
}
