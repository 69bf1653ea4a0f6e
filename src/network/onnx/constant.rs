//! Constant tensors of an ONNX file: weights and shapes.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::proto;
use super::unsupported::Outcome;

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
    pub fn read(tensor: &proto::Tensor) -> Outcome<Self> {
        if tensor.elsewhere != 0 {
            return Err("lies in a file of its own (external data); save the model as one file, in Python with \
                        onnx.save_model(onnx.load(file), other, save_as_external_data=False)"
                .into());
        }
        let sizes: Option<Vec<usize>> = tensor.sizes.iter().map(|&n| usize::try_from(n).ok()).collect();
        let count = sizes.as_ref().and_then(|sizes| sizes.iter().try_fold(1usize, |all, &n| all.checked_mul(n)));
        let (Some(sizes), Some(count)) = (sizes, count) else {
            return Err(format!("has the shape {:?}, which no tensor has", tensor.sizes).into());
        };
        let values = match tensor.kind {
            INT64 | INT32 => Values::Ints(whole(tensor)?.into()),
            _ => Values::Floats(real(tensor)?.into()),
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

    pub fn as_floats(&self) -> Outcome<&[f32]> {
        match &self.values {
            Values::Floats(values) => Ok(values),
            Values::Ints(_) => Err("takes floats, and got whole numbers".into()),
        }
    }

    pub fn as_ints(&self) -> Outcome<&[i64]> {
        match &self.values {
            Values::Ints(values) => Ok(values),
            Values::Floats(_) => Err("takes whole numbers, and got floats".into()),
        }
    }

    /// The value of a tensor with one element.
    pub fn single(&self) -> Outcome<f32> {
        match (&self.values, self.sizes.iter().product::<usize>()) {
            (Values::Floats(values), 1) => Ok(values[0]),
            _ => Err(format!("takes one float, and got a tensor {:?}", self.sizes).into()),
        }
    }

    pub fn tensor(&self) -> Outcome<Tensor> {
        Ok(Tensor::from_slice(self.as_floats()?, self.sizes.as_slice(), &Device::Cpu)?)
    }
}

fn whole(tensor: &proto::Tensor) -> Outcome<Vec<i64>> {
    let raw = &tensor.raw;
    Ok(match (tensor.kind, raw.is_empty()) {
        (INT64, true) => tensor.longs.clone(),
        (_, true) => tensor.shorts.iter().map(|&v| i64::from(v)).collect(),
        (INT64, false) => chunks(raw)?.map(i64::from_le_bytes).collect(),
        (_, false) => chunks(raw)?.map(|bytes| i64::from(i32::from_le_bytes(bytes))).collect(),
    })
}

fn real(tensor: &proto::Tensor) -> Outcome<Vec<f32>> {
    let raw = &tensor.raw;
    let short = |dtype: DType| {
        let bytes: Vec<u8> = match raw.is_empty() {
            true => tensor.shorts.iter().flat_map(|&v| (v as u16).to_le_bytes()).collect(),
            false => raw.clone(),
        };
        let whole = bytes.len() / 2;
        let values = Tensor::from_raw_buffer(&bytes[..2 * whole], dtype, &[whole], &Device::Cpu)?;
        Ok(values.to_dtype(DType::F32)?.to_vec1()?)
    };
    match (tensor.kind, raw.is_empty()) {
        (FLOAT, true) => Ok(tensor.floats.clone()),
        (FLOAT, false) => Ok(chunks(raw)?.map(f32::from_le_bytes).collect()),
        (DOUBLE, true) => Ok(tensor.doubles.iter().map(|&v| v as f32).collect()),
        (DOUBLE, false) => Ok(chunks(raw)?.map(|bytes| f64::from_le_bytes(bytes) as f32).collect()),
        (FLOAT16, _) => short(DType::F16),
        (BFLOAT16, _) => short(DType::BF16),
        (other, _) => Err(format!(
            "holds values of ONNX's type {other}; float32, float64, float16, bfloat16, int32 and int64 are supported"
        )
        .into()),
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> Outcome<impl Iterator<Item = [u8; N]>> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    match rest.is_empty() {
        true => Ok(chunks.iter().copied()),
        false => Err(format!("holds {} bytes, no whole number of values", bytes.len()).into()),
    }
}
