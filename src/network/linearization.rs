//! The linear part of a network around one stimulus.

use candle_core::Tensor;

use super::{Layer, Network, NodeId, ancestors};
use crate::ops::values;
use crate::{Error, Result};

/// A network up to a stage, linearized around one stimulus: products of the stage's Jacobian `J` with vectors, from both sides.
///
/// The products in the forward direction use each operation's own derivative ([`FrozenOp::tangent`](crate::ops::FrozenOp::tangent)). The
/// other two ways are worse: finite differences of the whole network cross the corners of rectifiers, and two vector-Jacobian products
/// (differentiating one with respect to its cotangent) cost twice as much and need gradients of gradients, which candle does not keep. Both
/// directions use the activations of one forward pass, so that they are transposes of each other up to rounding.
pub(crate) struct Linearization {
    nodes: Vec<LinearNode>,
    /// The number of values of the stimulus.
    input: usize,
}

/// A node with its values at the stimulus.
struct LinearNode {
    layer: Layer,
    /// Positions in the list.
    inputs: Vec<usize>,
    /// The shape of the first input, with a batch of one.
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Network {
    /// The network up to a stage, linearized around a stimulus of the network's size, `[1, ..]`.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an unknown stage; [`Error::Invalid`] for an operation without a forward derivative.
    pub(crate) fn linearized(&self, stage: &str, x: &Tensor) -> Result<Linearization> {
        let last = self.stage(stage)?.node;
        let needed = ancestors(self.nodes(), last);
        let ids: Vec<NodeId> = needed.iter().map(|&index| NodeId(index)).collect();
        let outputs = self.run_to_each(&ids, x)?;
        let mut nodes = vec![];
        for (&index, output) in needed.iter().zip(&outputs) {
            let node = &self.nodes()[index];
            let inputs: Vec<usize> = node.inputs.iter().filter_map(|id| needed.binary_search(&id.0).ok()).collect();
            let shape = inputs.first().map_or_else(|| x.dims().to_vec(), |&input| outputs[input].dims().to_vec());
            nodes.push(LinearNode { layer: node.layer.clone(), inputs, shape, values: values(output)? });
        }
        Ok(Linearization { nodes, input: x.elem_count() })
    }
}

impl Linearization {
    /// The number of values of the stimulus.
    pub fn num_inputs(&self) -> usize {
        self.input
    }

    /// The number of units of the stage.
    pub fn num_outputs(&self) -> usize {
        self.nodes.last().map_or(0, |node| node.values.len())
    }

    /// `J v`: the change of the stage's activations as the stimulus moves along `v`.
    pub fn jvp(&self, v: &[f32]) -> Result<Vec<f32>> {
        let mut tangents: Vec<Vec<f32>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let of = |i: usize| tangents[node.inputs[i]].as_slice();
            let tangent = match &node.layer {
                Layer::Input => v.to_vec(),
                Layer::Add => of(0).iter().zip(of(1)).map(|(a, b)| a + b).collect(),
                // The batch is one, so channels follow each other.
                Layer::Concat => (0..node.inputs.len()).flat_map(|i| of(i).iter().copied()).collect(),
                Layer::Flatten => of(0).to_vec(),
                Layer::Op(op) => {
                    let input = &self.nodes[node.inputs[0]].values;
                    let tangent = op.tangent(input, &node.values, of(0), &node.shape);
                    let tangent = tangent.ok_or_else(|| no_derivative(&node.layer))?;
                    check_length("tangent", &node.layer, &tangent, node.values.len())?;
                    tangent
                }
                Layer::Module(_) => return Err(no_derivative(&node.layer)),
            };
            tangents.push(tangent);
        }
        Ok(tangents.pop().unwrap_or_default())
    }

    /// `J' u`: the gradient with respect to the stimulus of the stage's activations times `u`.
    pub fn vjp(&self, u: &[f32]) -> Result<Vec<f32>> {
        let mut gradients: Vec<Option<Vec<f32>>> = vec![None; self.nodes.len()];
        if let Some(last) = gradients.last_mut() {
            *last = Some(u.to_vec());
        }
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if matches!(node.layer, Layer::Input) {
                continue;
            }
            let Some(gradient) = gradients[index].take() else { continue };
            match &node.layer {
                Layer::Input => {}
                Layer::Add => node.inputs.iter().for_each(|&input| add(&mut gradients[input], gradient.clone())),
                Layer::Concat => {
                    let mut first = 0;
                    for &input in &node.inputs {
                        let count = self.nodes[input].values.len();
                        add(&mut gradients[input], gradient[first..first + count].to_vec());
                        first += count;
                    }
                }
                Layer::Flatten => add(&mut gradients[node.inputs[0]], gradient),
                Layer::Op(op) => {
                    let input = &self.nodes[node.inputs[0]].values;
                    let gradient = op.backward(input, &node.values, &gradient, &node.shape);
                    check_length("gradient", &node.layer, &gradient, input.len())?;
                    add(&mut gradients[node.inputs[0]], gradient);
                }
                Layer::Module(_) => return Err(no_derivative(&node.layer)),
            }
        }
        Ok(gradients.into_iter().next().flatten().unwrap_or_else(|| vec![0.0; self.input]))
    }
}

fn add(sum: &mut Option<Vec<f32>>, gradient: Vec<f32>) {
    match sum {
        Some(sum) => sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g),
        None => *sum = Some(gradient),
    }
}

/// Checks the length of a product that an operation returned, which may be one of the user's.
fn check_length(what: &str, layer: &Layer, product: &[f32], expected: usize) -> Result<()> {
    match product.len() == expected {
        true => Ok(()),
        false => {
            let what = format!("the {what} that \"{}\" returned", layer.name());
            Err(Error::shape(what, format!("[{expected}]"), &[product.len()]))
        }
    }
}

fn no_derivative(layer: &Layer) -> Error {
    let reason =
        "has no forward derivative, which eigendistortions need; use a network of images made of this library's layers";
    Error::invalid(layer.name(), reason)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::network::{Builder, Input};
    use crate::ops::{FrozenOp, vjp};

    /// An operation that returns too few values in one of the two directions.
    #[derive(Clone, Debug)]
    struct WrongSize {
        tangent: usize,
        gradient: usize,
    }

    impl FrozenOp for WrongSize {
        fn name(&self) -> &'static str {
            "wrong size"
        }

        fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
            Ok(shape.to_vec())
        }

        fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
            input.to_vec()
        }

        fn backward(&self, _: &[f32], _: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
            gradient[self.gradient..].to_vec()
        }

        fn tangent(&self, _: &[f32], _: &[f32], tangent: &[f32], _: &[usize]) -> Option<Vec<f32>> {
            Some(tangent[self.tangent..].to_vec())
        }
    }

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn both_products_are_transposes_and_equal_those_of_candle() {
        let net = crate::zoo::efficientnet_lite0().unwrap();
        let dog = net.prepare(crate::stimulus::Image::open("photos/dog.jpg").unwrap()).unwrap();
        let x = dog.to_tensor().unwrap();
        for stage in ["stem", "block2", "features", "logits"] {
            let linear = net.linearized(stage, &x).unwrap();
            let (v, u) = (noise(linear.num_inputs(), 1), noise(linear.num_outputs(), 2));
            let (jv, ju) = (linear.jvp(&v).unwrap(), linear.vjp(&u).unwrap());
            let (left, right) = (dot(&u, &jv), dot(&ju, &v));
            let scale = dot(&u, &u).sqrt() * dot(&jv, &jv).sqrt();
            assert!((left - right).abs() < 1e-5 * scale, "{stage}: {left} and {right}");
            let var = Var::from_tensor(&x).unwrap();
            let y = net.forward_to(stage, &var).unwrap();
            let cotangent = Tensor::from_vec(u, y.shape(), &Device::Cpu).unwrap();
            let expected = values(&vjp(&y, &cotangent, &var).unwrap()).unwrap();
            let off: f64 = ju.iter().zip(&expected).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            assert!(off.sqrt() < 1e-5 * dot(&expected, &expected).sqrt(), "{stage}");
        }
    }

    #[test]
    fn an_operation_that_returns_the_wrong_size_is_named() {
        let x = Tensor::zeros((1, 1, 1, 3), DType::F32, &Device::Cpu).unwrap();
        let linear = |tangent: usize, gradient: usize| {
            let mut b = Builder::new("wrong size", Input::Image { shape: [1, 1, 3], resize: 1 });
            let y = b.layer(WrongSize { tangent, gradient }, &[b.input()]).unwrap();
            let y = b.layer(WrongSize { tangent: 0, gradient: 0 }, &[y]).unwrap();
            b.stage("y", y).unwrap();
            b.finish().unwrap().linearized("y", &x).unwrap()
        };
        let error = linear(1, 0).jvp(&[1.0; 3]).unwrap_err().to_string();
        assert_eq!(error, "the tangent that \"wrong size\" returned has shape [2], expected [3]");
        let error = linear(0, 1).vjp(&[1.0; 3]).unwrap_err().to_string();
        assert_eq!(error, "the gradient that \"wrong size\" returned has shape [2], expected [3]");
        assert_eq!(linear(0, 1).jvp(&[1.0; 3]).unwrap(), linear(1, 0).vjp(&[1.0; 3]).unwrap());
    }

    #[test]
    fn an_operation_without_a_derivative_is_named() {
        let ear = crate::zoo::cochcnn_words().unwrap();
        let x = Tensor::zeros((1, 40_000), DType::F32, &Device::Cpu).unwrap();
        let linear = ear.linearized("relu0", &x).unwrap();
        let error = linear.jvp(&vec![0.0; 40_000]).unwrap_err().to_string();
        assert!(error.contains("cochleagram") && error.contains("forward derivative"), "{error}");
    }
}
