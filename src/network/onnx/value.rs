//! ONNX values as nodes of a network's graph.

use super::unsupported::ImportResult;
use crate::network::NodeId;
use crate::ops::Padding;

/// A node of the graph, with the layout of its output in ONNX.
#[derive(Clone)]
pub(super) struct Value {
    pub node: NodeId,
    pub layout: Layout,
    /// Zero padding from a `Pad` node, which the next layer applies.
    pub padding: Padding,
    /// `true` if no value is negative, so that zero padding does not change a max pool.
    pub non_negative: bool,
}

#[derive(Clone, PartialEq)]
pub(super) enum Layout {
    /// `[channels, height, width]` in the graph; axis `i` of ONNX, without the batch, is the graph's axis `axes[i]`.
    Image { sizes: [usize; 3], axes: [usize; 3] },
    /// A vector in the graph; ONNX may have further axes of size 1.
    Vector { sizes: Vec<usize> },
}

/// The axes of ONNX's channels-first layout: channels, height, width.
pub(super) const CHANNELS_FIRST: [usize; 3] = [0, 1, 2];
/// The axes of ONNX's channels-last layout: height, width, channels.
pub(super) const CHANNELS_LAST: [usize; 3] = [1, 2, 0];

impl Value {
    pub fn image(node: NodeId, sizes: [usize; 3]) -> Self {
        Self::new(node, Layout::Image { sizes, axes: CHANNELS_FIRST })
    }

    pub fn vector(node: NodeId, sizes: Vec<usize>) -> Self {
        Self::new(node, Layout::Vector { sizes })
    }

    pub fn new(node: NodeId, layout: Layout) -> Self {
        Self { node, layout, padding: Padding::default(), non_negative: false }
    }

    /// The shape in ONNX, without the batch.
    pub fn shape(&self) -> Vec<usize> {
        match &self.layout {
            Layout::Image { sizes, axes } => axes.iter().map(|&axis| sizes[axis]).collect(),
            Layout::Vector { sizes } => sizes.clone(),
        }
    }

    /// The number of elements for one input.
    pub fn count(&self) -> usize {
        self.shape().iter().product()
    }

    /// The sizes `[channels, height, width]` of an image in channels-first layout.
    pub fn as_image(&self) -> ImportResult<[usize; 3]> {
        match &self.layout {
            Layout::Image { sizes, axes } if *axes == CHANNELS_FIRST => Ok(*sizes),
            _ => Err(format!(
                "takes an image [batch, channels, height, width], got {}",
                match &self.layout {
                    Layout::Image { .. } => format!("the axis order {:?}", self.shape()),
                    Layout::Vector { sizes } => format!("{sizes:?}"),
                }
            )
            .into()),
        }
    }

    /// The length of a value that is a vector in ONNX.
    pub fn as_vector(&self) -> ImportResult<usize> {
        match &self.layout {
            Layout::Vector { sizes } if sizes.len() == 1 => Ok(sizes[0]),
            _ => Err(format!("takes a vector for each input, got {:?}", self.shape()).into()),
        }
    }

    /// Returns an error if padding is pending, for a layer that cannot apply it.
    pub fn unpadded(self) -> ImportResult<Self> {
        match self.padding == Padding::default() {
            true => Ok(self),
            false => Err("cannot follow a Pad; only convolutions and pools can".into()),
        }
    }

    /// Converts an ONNX axis, which counts the batch as 0 and may be negative, to an index into [`Value::shape`].
    pub fn axis(&self, axis: i64) -> ImportResult<usize> {
        let rank = self.shape().len() as i64 + 1;
        let at = if axis < 0 { axis.saturating_add(rank) } else { axis };
        match (1..rank).contains(&at) {
            true => Ok(at as usize - 1),
            false => Err(format!("axis {axis} is not supported; 1 to {} are", rank - 1).into()),
        }
    }
}
