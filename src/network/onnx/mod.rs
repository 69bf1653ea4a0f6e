//! Networks from ONNX files.

mod arithmetic;
mod attributes;
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

use std::path::Path;

use prost::Message;

use super::{Network, WeightsSource};
use crate::fs::{assets, sha256};
use crate::{Error, Result};

/// Options of [`Network::from_onnx`]: preprocessing of the image, the nodes that become stages, the names of the classes.
///
/// The default: a picture in `[0, 1]` is normalised as torchvision does for ImageNet, `(x - mean) / deviation` with the means 0.485, 0.456, 0.406
/// and the deviations 0.229, 0.224, 0.225 of red, green and blue; the stages are all rectifiers, pools and the output.
///
/// An ONNX file does not say how the pictures were prepared that its network was trained on: look it up where the file is from.
#[derive(Clone, Debug)]
pub struct OnnxOptions {
    preparation: Preparation,
    reversed: bool,
    size: Option<[usize; 2]>,
    resize: Option<usize>,
    stages: Vec<(String, String)>,
    classes: Option<Vec<String>>,
}

/// A factor and a summand for each channel.
#[derive(Clone, Debug)]
enum Preparation {
    Nothing,
    /// The default, which is for three channels.
    ImageNet,
    Affine(Vec<f32>, Vec<f32>),
}

impl Default for OnnxOptions {
    fn default() -> Self {
        let preparation = Preparation::ImageNet;
        Self { preparation, reversed: false, size: None, resize: None, stages: vec![], classes: None }
    }
}

impl OnnxOptions {
    /// The picture goes in as `(x - mean) / deviation`, with `x` in `[0, 1]` and a mean and a deviation for each channel, in the file's order.
    ///
    /// # Errors
    /// When the two differ in length, are not finite, or a deviation is 0.
    pub fn normalise(self, mean: &[f32], deviation: &[f32]) -> Result<Self> {
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
        Ok(Self { preparation: Preparation::Affine(scale, shift), ..self })
    }

    /// The picture goes in with values from `low` to `high`, which stand for the 0 and 1 of the screen: 0 and 255 for bytes, -1 and 1 as TensorFlow's
    /// Inception takes them.
    ///
    /// # Errors
    /// When the two are equal or not finite.
    pub fn range(self, low: f32, high: f32) -> Result<Self> {
        if low == high || !(high - low).is_finite() {
            return Err(Error::invalid("range", format!("takes two different finite numbers, got {low} and {high}")));
        }
        Ok(Self { preparation: Preparation::Affine(vec![high - low], vec![low]), ..self })
    }

    /// The picture goes in as it is, with values in `[0, 1]`.
    pub fn unchanged(self) -> Self {
        Self { preparation: Preparation::Nothing, ..self }
    }

    /// The file wants the channels in the order blue, green, red, as networks from Caffe and OpenCV do. The means and deviations of
    /// [`OnnxOptions::normalise`] are in that order too.
    pub fn blue_first(self) -> Self {
        Self { reversed: true, ..self }
    }

    /// The height and width of the input in pixels, for a file that leaves them open.
    pub fn size(self, height: usize, width: usize) -> Self {
        Self { size: Some([height, width]), ..self }
    }

    /// A photo's shorter side before the centre crop, in pixels; 256 for an input of 224, and in proportion, if not stated.
    pub fn resize(self, shorter_side: usize) -> Self {
        Self { resize: Some(shorter_side), ..self }
    }

    /// Makes a node a stage of this name. `node` is the name of a node or of its output, as Netron shows them.
    ///
    /// With this the stages are those that are named and no others, and only what they depend on is read: what stands behind the last may be of
    /// any kind.
    pub fn stage(mut self, name: impl Into<String>, node: impl Into<String>) -> Self {
        self.stages.push((name.into(), node.into()));
        self
    }

    /// Names of the classes, one for each unit of the last stage.
    pub fn classes(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { classes: Some(names.into_iter().map(Into::into).collect()), ..self }
    }
}

impl Network {
    /// A convolutional classifier from an ONNX file, as PyTorch's and TensorFlow's exporters write it.
    ///
    /// Every node becomes a layer of the graph, so the network is compiled like those of the zoo; batch normalisations stay layers, which the compiled
    /// plan folds into the convolutions before them. A relative path that does not exist is looked up among the files that ship with the project.
    ///
    /// Stages are named after their nodes (or, where a node has no name, its output): every `Relu`, `Clip` and pool, and the output, unless
    /// [`OnnxOptions::stage`] chooses. A `Softmax` at the end is left out, so that the last stage holds logits.
    ///
    /// The provenance's `source` has the file's SHA-256; its `weights_sha256` is that of the layers, the preparation included: the same file with another
    /// preparation is another network.
    ///
    /// | | supported |
    /// | --- | --- |
    /// | convolutions | `Conv` in two dimensions with groups, dilation, asymmetric padding, `auto_pad`; a `Pad` with zeros before it |
    /// | matrices | `Gemm`, `MatMul` with a constant |
    /// | normalisation, rectifiers | `BatchNormalization`, `Relu`, `Clip` from 0 |
    /// | pools | `MaxPool`, `AveragePool`, `GlobalAveragePool`, `GlobalMaxPool`, `ReduceMean` over the image |
    /// | arithmetic | `Add`, `Sub`, `Mul`, `Div` with one number or one for each channel; `Add` and `Sum` of tensors of one shape; `Concat` of channels |
    /// | shapes | `Flatten`, `Reshape`, `Squeeze`, `Unsqueeze` of vectors and to vectors; `Transpose` between channels first and channels last |
    /// | nothing to do | `Identity`, `Dropout`, `Cast` to float32; `Softmax` and `LogSoftmax` at the end |
    /// | constants | `Constant`, and `Shape`, `Gather`, `Concat`, `Unsqueeze`, `Squeeze`, `Cast` of sizes |
    ///
    /// The input is one batch of pictures, `[batch, channels, height, width]` or `[batch, height, width, channels]`.
    ///
    /// ```
    /// use metamers::network::{Network, OnnxOptions};
    ///
    /// let net = Network::from_onnx("tests/data/onnx/mobile.onnx", OnnxOptions::default())?;
    /// assert_eq!(net.stage("node_relu")?.shape, [8, 14, 13]);
    ///
    /// // Custom stages, and a network that wants bytes with blue first and their means taken off, as Caffe's do:
    /// let caffe = OnnxOptions::default().normalise(&[0.408, 0.459, 0.482], &[1.0 / 255.0; 3])?.blue_first();
    /// let options = caffe.stage("conv1", "node_relu").stage("features", "node_relu6");
    /// let net = Network::from_onnx("tests/data/onnx/mobile.onnx", options)?;
    /// assert_eq!(net.stages().len(), 2);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read, is truncated, or is no ONNX model; a node that is not supported is named with its operator, its name
    /// and its place in the file; so are attributes that are not supported. Weights in a file of their own, an input whose size is open (see
    /// [`OnnxOptions::size`]), weights that are not finite. [`Error::Unknown`] for a stage that names no node.
    pub fn from_onnx(path: impl AsRef<Path>, options: OnnxOptions) -> Result<Self> {
        let path = &*assets::find(path.as_ref())?;
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let digest = sha256::hex_digest(&bytes);
        let model = proto::Model::decode(bytes.as_slice())
            .map_err(|e| Error::file(path, format!("is not a valid ONNX file ({e})")))?;
        drop(bytes);
        let file = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let source = format!("{} (SHA-256 {digest})", file(path.file_name()));
        // Left open, so that it becomes that of the layers: what is done to the picture first is not in the file.
        let provenance = WeightsSource { source, weights_sha256: String::new() };
        import::network(path, file(path.file_stem()), model, options, provenance)
    }
}
