//! Matrix multiplication nodes.

use candle_core::{Device, Tensor};

use super::attributes::Attributes;
use super::constant::Constant;
use super::import::Import;
use super::proto;
use super::unsupported::ImportResult;
use super::value::Value;
use crate::network::Layer;
use crate::ops::Linear;

impl Import {
    pub(super) fn gemm(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let attributes = Attributes::new(node, &["alpha", "beta", "transA", "transB"])?;
        attributes.only("transA", 0)?;
        let x = self.value(node, 0)?;
        let weight = matrix(&self.constant(node, 1)?)?;
        let weight = if attributes.flag("transB") { weight } else { weight.t()?.contiguous()? };
        let alpha = attributes.float("alpha", 1.0);
        let weight = if alpha == 1.0 { weight } else { weight.affine(alpha.into(), 0.0)? };
        let outputs = weight.dims()[0];
        let bias = match self.optional(node, 2)? {
            Some(bias) => {
                let beta = attributes.float("beta", 1.0);
                let (values, leading) = (bias.as_floats()?, &bias.sizes[..bias.sizes.len().saturating_sub(1)]);
                if ![1, outputs].contains(&values.len()) || leading.iter().any(|&n| n != 1) {
                    return Err(format!("its input 3 has the shape {:?}; [{outputs}] is supported", bias.sizes).into());
                }
                let values = values.iter().map(|v| v * beta).cycle().take(outputs).collect::<Vec<f32>>();
                Some(Tensor::from_vec(values, outputs, &Device::Cpu)?)
            }
            None => None,
        };
        self.fully_connected(x, Linear::new(&weight, bias.as_ref())?, outputs)
    }

    pub(super) fn matmul(&mut self, node: &proto::Node) -> ImportResult<Value> {
        Attributes::new(node, &[])?;
        let x = self.value(node, 0)?;
        let weight = matrix(&self.constant(node, 1)?)?.t()?.contiguous()?;
        let outputs = weight.dims()[0];
        self.fully_connected(x, Linear::new(&weight, None)?, outputs)
    }

    fn fully_connected(&mut self, x: Value, layer: Linear, outputs: usize) -> ImportResult<Value> {
        x.as_vector()?;
        Ok(Value::vector(self.push(Layer::from(layer), &[x.node])?, vec![outputs]))
    }
}

fn matrix(constant: &Constant) -> ImportResult<Tensor> {
    match constant.sizes.as_slice() {
        [rows, columns] if rows * columns > 0 => constant.tensor(),
        other => Err(format!("its input 2 has the shape {other:?}; a matrix is supported").into()),
    }
}
