//! Tensors in a pickle of PyTorch: a dtype, a shape and strides over a storage.

use candle_core::{DType, Device, Tensor};

use super::checked_volume;
use super::pickle::{Id, Pickle, Value};

/// PyTorch's own limit is 64 axes.
const MAX_RANK: usize = 64;
/// Maximum number of functions around a tensor: a parameter of a tensor subclass has two.
const MAX_WRAPPERS: usize = 4;

/// A view of a storage, as PyTorch's `_rebuild_tensor_v2` takes it. Offset and strides count values, not bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TensorView<'a> {
    pub dtype: ViewType,
    /// The name of the storage's entry in the archive.
    pub storage: &'a str,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ViewType {
    Float(FloatType),
    /// Integers and truth values, which no layer has.
    Integer,
    Unsupported,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FloatType {
    F16,
    BF16,
    F32,
    F64,
}

impl<'a> TensorView<'a> {
    /// The tensor that an object describes; `None` if the object is no tensor.
    pub fn read(pickle: &Pickle<'a>, mut id: Id) -> Option<Result<Self, String>> {
        for _ in 0..MAX_WRAPPERS {
            let (function, args) = pickle.call(id)?;
            match function {
                ["torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state"] => id = *args.first()?,
                ["torch._tensor", "_rebuild_from_type_v2"] => {
                    let (&function, &args) = (args.first()?, args.get(2)?);
                    return Some(rebuilt(pickle, pickle.global(function)?, pickle.tuple(args)?)?.ok_or_else(invalid));
                }
                _ => return Some(rebuilt(pickle, function, args)?.ok_or_else(invalid)),
            }
        }
        None
    }

    /// The number of values, which is at most [`usize::MAX`].
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The number of values of the storage from the first to the last; `None` if it overflows.
    pub fn span(&self) -> Option<usize> {
        if self.count() == 0 {
            return Some(0);
        }
        self.shape.iter().zip(&self.strides).try_fold(1usize, |sum, (&side, &stride)| {
            (side - 1).checked_mul(stride).and_then(|span| sum.checked_add(span))
        })
    }

    /// The values in row-major order as float32; the error is the reason why the storage does not hold them.
    pub fn values(&self, float: FloatType, storage: &[u8]) -> Result<Vec<f32>, String> {
        if self.count() == 0 {
            return Ok(vec![]);
        }
        let (dtype, size) = float.dtype();
        let last = self.span().and_then(|span| self.offset.checked_add(span - 1));
        let bytes = |last: usize| storage.get(self.offset.checked_mul(size)?..last.checked_add(1)?.checked_mul(size)?);
        let bytes = last.and_then(bytes).ok_or("it is larger than its data in the file")?;
        let span = to_f32(bytes, dtype).map_err(|e| e.to_string())?;
        Ok(if self.is_contiguous() { span } else { gather(&span, &self.shape, &self.strides) })
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&side, &stride)| {
            let fits = side == 1 || stride == expected;
            expected *= side;
            fits
        })
    }
}

impl FloatType {
    /// The type in candle, and its size in bytes.
    fn dtype(self) -> (DType, usize) {
        match self {
            Self::F16 => (DType::F16, 2),
            Self::BF16 => (DType::BF16, 2),
            Self::F32 => (DType::F32, 4),
            Self::F64 => (DType::F64, 8),
        }
    }
}

fn invalid() -> String {
    "its description is not one that PyTorch writes".into()
}

/// The tensor that `function` makes of `args`: `None` if it makes no tensor, `Some(None)` if the arguments are invalid.
fn rebuilt<'a>(pickle: &Pickle<'a>, function: [&str; 2], args: &[Id]) -> Option<Option<TensorView<'a>>> {
    match function {
        ["torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3"] => Some(view(pickle, args)),
        _ => None,
    }
}

/// A view from the arguments storage, offset, size and stride; `_rebuild_tensor_v3` has a dtype as the seventh, and others may have
/// there a dict of flags, such as that of a lazily negated tensor.
fn view<'a>(pickle: &Pickle<'a>, args: &[Id]) -> Option<TensorView<'a>> {
    let &[storage, offset, shape, strides, ref rest @ ..] = args else { return None };
    let sizes = |id: Id| pickle.tuple(id)?.iter().map(|&id| size(pickle, id)).collect::<Option<Vec<usize>>>();
    let Value::Persistent(storage) = *pickle.value(storage) else { return None };
    let &[_, class, key, ..] = pickle.tuple(storage)? else { return None };
    let is_short = |id: Id| pickle.tuple(id).is_some_and(|axes| axes.len() <= MAX_RANK);
    if !is_short(shape) || !is_short(strides) {
        return None;
    }
    let (shape, strides) = (sizes(shape)?, sizes(strides)?);
    checked_volume(&shape).filter(|_| shape.len() == strides.len())?;
    let [_, mut name] = pickle.global(class)?;
    let extra = rest.get(2).copied();
    if name == "UntypedStorage" {
        [_, name] = pickle.global(extra?)?;
    } else if extra.and_then(|id| pickle.dict(id)).is_some_and(|flags| !flags.is_empty()) {
        name = "";
    }
    Some(TensorView {
        dtype: view_type(name),
        storage: pickle.text(key)?,
        offset: size(pickle, offset)?,
        shape,
        strides,
    })
}

fn size(pickle: &Pickle<'_>, id: Id) -> Option<usize> {
    match *pickle.value(id) {
        Value::Int(size) => usize::try_from(size).ok(),
        _ => None,
    }
}

fn view_type(name: &str) -> ViewType {
    match name {
        "FloatStorage" | "float32" => ViewType::Float(FloatType::F32),
        "DoubleStorage" | "float64" => ViewType::Float(FloatType::F64),
        "HalfStorage" | "float16" => ViewType::Float(FloatType::F16),
        "BFloat16Storage" | "bfloat16" => ViewType::Float(FloatType::BF16),
        "ByteStorage" | "CharStorage" | "ShortStorage" | "IntStorage" | "LongStorage" | "BoolStorage" => {
            ViewType::Integer
        }
        "uint8" | "uint16" | "uint32" | "uint64" | "int8" | "int16" | "int32" | "int64" | "bool" => ViewType::Integer,
        _ => ViewType::Unsupported,
    }
}

/// Little-endian values as float32.
pub(super) fn to_f32(bytes: &[u8], dtype: DType) -> candle_core::Result<Vec<f32>> {
    if dtype == DType::F32 {
        return Ok(bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect());
    }
    let count = bytes.len() / dtype.size_in_bytes();
    Tensor::from_raw_buffer(bytes, dtype, &[count], &Device::Cpu)?.to_dtype(DType::F32)?.to_vec1()
}

/// The values of a view without empty sides in row-major order.
fn gather(source: &[f32], shape: &[usize], strides: &[usize]) -> Vec<f32> {
    let mut values = Vec::with_capacity(shape.iter().product());
    let Some(((&columns, rows), (&step, steps))) = shape.split_last().zip(strides.split_last()) else {
        return source.to_vec();
    };
    let (mut index, mut start) = (vec![0; rows.len()], 0);
    loop {
        values.extend((0..columns).map(|column| source[start + column * step]));
        let mut axis = rows.len();
        loop {
            if axis == 0 {
                return values;
            }
            axis -= 1;
            index[axis] += 1;
            start += steps[axis];
            if index[axis] < rows[axis] {
                break;
            }
            start -= steps[axis] * rows[axis];
            index[axis] = 0;
        }
    }
}
