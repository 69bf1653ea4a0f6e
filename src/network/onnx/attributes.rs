//! The attributes of a node.

use super::constant::Constant;
use super::proto;
use super::unsupported::ImportResult;
use crate::ops::Padding;

/// Maximum size, stride or padding.
const MAX_SIZE: i64 = 1 << 24;

/// A node's attributes; the constructor rejects names that are not in `known`.
pub(super) struct Attributes<'a>(&'a [proto::Attribute]);

impl<'a> Attributes<'a> {
    pub fn new(node: &'a proto::Node, known: &[&str]) -> ImportResult<Self> {
        match node.attributes.iter().find(|a| !known.contains(&a.name.as_str())) {
            Some(other) => {
                let supported = if known.is_empty() { "none is".into() } else { format!("{} are", known.join(", ")) };
                Err(format!("the attribute \"{}\" is not supported; {supported}", other.name).into())
            }
            None => Ok(Self(&node.attributes)),
        }
    }

    fn find(&self, name: &str) -> Option<&'a proto::Attribute> {
        self.0.iter().find(|a| a.name == name)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.find(name).map_or(default, |a| a.int)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.int(name, 0) != 0
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.find(name).map_or(default, |a| a.float)
    }

    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.find(name).map(|a| a.ints.as_slice())
    }

    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.find(name).map(|a| std::str::from_utf8(&a.string).unwrap_or("?"))
    }

    /// Returns an error unless the attribute has the supported value.
    pub fn only(&self, name: &str, supported: i64) -> ImportResult<()> {
        match self.int(name, supported) {
            value if value == supported => Ok(()),
            value => Err(format!("{name} = {value} is not supported; {supported} is").into()),
        }
    }

    /// An attribute of two values, for rows and columns.
    pub fn pair(&self, name: &str, default: usize) -> ImportResult<[usize; 2]> {
        match self.ints(name) {
            None => Ok([default; 2]),
            Some(&[rows, columns]) => Ok([size(name, rows)?, size(name, columns)?]),
            Some(other) => Err(format!("{name} = {other:?}: only images are supported, with two numbers").into()),
        }
    }

    /// The padding from `auto_pad` and `pads`, for a window of this span in pixels.
    pub fn padding(&self, input: [usize; 2], span: [usize; 2], stride: [usize; 2]) -> ImportResult<Padding> {
        match self.text("auto_pad").unwrap_or("NOTSET") {
            "NOTSET" | "" => match self.ints("pads") {
                None => Ok(Padding::default()),
                Some(pads) => padding(pads),
            },
            "VALID" => Ok(Padding::default()),
            "SAME_UPPER" => Ok(Padding::same(input, span, stride)),
            "SAME_LOWER" => {
                let Padding { top, bottom, left, right } = Padding::same(input, span, stride);
                Ok(Padding { top: bottom, bottom: top, left: right, right: left })
            }
            other => {
                Err(format!("auto_pad = {other} is not supported; NOTSET, VALID, SAME_UPPER and SAME_LOWER are").into())
            }
        }
    }

    /// The value of a `Constant` node.
    pub fn constant(&self) -> ImportResult<Constant> {
        let single = |constant: Constant| Constant { sizes: vec![], ..constant };
        match self.0 {
            [a] => match a.name.as_str() {
                "value" => Constant::read(a.tensor.as_ref().ok_or("holds no tensor")?),
                "value_int" => Ok(single(Constant::ints([a.int]))),
                "value_ints" => Ok(Constant::ints(a.ints.as_slice())),
                "value_float" => Ok(single(Constant::floats(&[a.float]))),
                _ => Ok(Constant::floats(&a.floats)),
            },
            _ => Err("holds no value, or more than one".into()),
        }
    }
}

/// Padding from ONNX's order: the starts of both axes, then their ends.
pub(super) fn padding(pads: &[i64]) -> ImportResult<Padding> {
    match *pads {
        [top, left, bottom, right] => {
            let [top, left, bottom, right] = [top, left, bottom, right].map(|n| size("pads", n));
            Ok(Padding { top: top?, bottom: bottom?, left: left?, right: right? })
        }
        _ => Err(format!("pads = {pads:?}: only images are supported, with four numbers").into()),
    }
}

pub(super) fn size(name: &str, value: i64) -> ImportResult<usize> {
    match (0..=MAX_SIZE).contains(&value) {
        true => Ok(value as usize),
        false => Err(format!("{name} = {value} is not supported; 0 to {MAX_SIZE} is").into()),
    }
}
