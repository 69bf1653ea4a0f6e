//! Constant tensors of an ONNX file: weights and shapes.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::proto;
use super::unsupported::ImportResult;
use crate::network::weights::checked_volume;

// `TensorProto.DataType`.
const FLOAT: i32 = 1;
const INT32: i32 = 6;
const INT64: i32 = 7;
const FLOAT16: i32 = 10;
const DOUBLE: i32 = 11;
const BFLOAT16: i32 = 16;

/// A tensor that does not depend on the input. For a scalar, `sizes` is empty.
#[derive(Clone)]
pub(super) struct Constant {
    pub sizes: Vec<usize>,
    pub values: Values,
}

#[derive(Clone)]
pub(super) enum Values {
    Floats(Arc<[f32]>),
    Ints(Arc<[i64]>),
}

impl Constant {
    pub fn ints(values: impl Into<Arc<[i64]>>) -> Self {
        let values = values.into();
        Self { sizes: vec![values.len()], values: Values::Ints(values) }
    }

    pub fn floats(values: &[f32]) -> Self {
        Self { sizes: vec![values.len()], values: Values::Floats(values.into()) }
    }

    /// Reads a tensor of the file; an error if its values are missing, not finite, or have an unsupported type.
    pub fn read(tensor: &proto::Tensor) -> ImportResult<Self> {
        if tensor.data_location != 0 {
            return Err("is stored in an external file (external data); save the model as one file, in Python with \
                        onnx.save_model(onnx.load(file), other, save_as_external_data=False)"
                .into());
        }
        let sizes: Option<Vec<usize>> = tensor.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
        let Some(sizes) = sizes.filter(|sizes| checked_volume(sizes).is_some()) else {
            return Err(format!("has the invalid shape {:?}", tensor.dims).into());
        };
        let count = sizes.iter().product::<usize>();
        let values = match tensor.data_type {
            INT64 | INT32 => Values::Ints(int_values(tensor)?.into()),
            _ => Values::Floats(float_values(tensor)?.into()),
        };
        let (held, finite) = match &values {
            Values::Floats(values) => (values.len(), values.iter().all(|v| v.is_finite())),
            Values::Ints(values) => (values.len(), true),
        };
        if held != count {
            return Err(format!("holds {held} values for the shape {sizes:?}").into());
        }
        if !finite {
            return Err("holds values that are not finite".into());
        }
        Ok(Self { sizes, values })
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.sizes.iter().product()
    }

    /// The size of a value in bytes.
    pub fn value_size(&self) -> usize {
        match self.values {
            Values::Floats(_) => size_of::<f32>(),
            Values::Ints(_) => size_of::<i64>(),
        }
    }

    pub fn as_floats(&self) -> ImportResult<&[f32]> {
        match &self.values {
            Values::Floats(values) => Ok(values),
            Values::Ints(_) => Err("must hold floats, but holds integers".into()),
        }
    }

    pub fn as_ints(&self) -> ImportResult<&[i64]> {
        match &self.values {
            Values::Ints(values) => Ok(values),
            Values::Floats(_) => Err("must hold integers, but holds floats".into()),
        }
    }

    /// The value of a tensor with one element.
    pub fn single(&self) -> ImportResult<f32> {
        match (&self.values, self.sizes.iter().product::<usize>()) {
            (Values::Floats(values), 1) => Ok(values[0]),
            _ => Err(format!("must be a single float, but has the shape {:?}", self.sizes).into()),
        }
    }

    pub fn tensor(&self) -> ImportResult<Tensor> {
        Ok(Tensor::from_slice(self.as_floats()?, self.sizes.as_slice(), &Device::Cpu)?)
    }
}

fn int_values(tensor: &proto::Tensor) -> ImportResult<Vec<i64>> {
    let raw = &tensor.raw_data;
    Ok(match (tensor.data_type, raw.is_empty()) {
        (INT64, true) => tensor.int64_data.clone(),
        (_, true) => tensor.int32_data.iter().map(|&v| i64::from(v)).collect(),
        (INT64, false) => chunks(raw)?.map(i64::from_le_bytes).collect(),
        (_, false) => chunks(raw)?.map(|bytes| i64::from(i32::from_le_bytes(bytes))).collect(),
    })
}

fn float_values(tensor: &proto::Tensor) -> ImportResult<Vec<f32>> {
    let raw = &tensor.raw_data;
    let half = |dtype: DType| {
        let bytes: Vec<u8> = match raw.is_empty() {
            true => tensor.int32_data.iter().flat_map(|&v| (v as u16).to_le_bytes()).collect(),
            false => raw.clone(),
        };
        let count = bytes.len() / 2;
        let values = Tensor::from_raw_buffer(&bytes[..2 * count], dtype, &[count], &Device::Cpu)?;
        Ok(values.to_dtype(DType::F32)?.to_vec1()?)
    };
    match (tensor.data_type, raw.is_empty()) {
        (FLOAT, true) => Ok(tensor.float_data.clone()),
        (FLOAT, false) => Ok(chunks(raw)?.map(f32::from_le_bytes).collect()),
        (DOUBLE, true) => Ok(tensor.double_data.iter().map(|&v| v as f32).collect()),
        (DOUBLE, false) => Ok(chunks(raw)?.map(|bytes| f64::from_le_bytes(bytes) as f32).collect()),
        (FLOAT16, _) => half(DType::F16),
        (BFLOAT16, _) => half(DType::BF16),
        (other, _) => Err(format!(
            "holds values of ONNX's type {other}; float32, float64, float16, bfloat16, int32 and int64 are supported"
        )
        .into()),
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> ImportResult<impl Iterator<Item = [u8; N]>> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    match rest.is_empty() {
        true => Ok(chunks.iter().copied()),
        false => Err(format!("holds {} bytes, which is not a multiple of {N}", bytes.len()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_tensor_with_huge_sides_is_an_error() {
        let tensor = proto::Tensor { dims: vec![0, 1 << 40, 1 << 40], data_type: FLOAT, ..Default::default() };
        assert!(Constant::read(&tensor).is_err_and(|unsupported| unsupported.0.contains("invalid shape")));
    }
}
