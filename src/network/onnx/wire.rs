//! The number of messages in an ONNX file, before memory is allocated for them.

/// Maximum number of messages, strings and arrays. A network of 10 000 nodes has about 100 000.
const MAX_FIELDS: usize = 1 << 20;

/// Kinds of messages that hold others; the rest of ONNX's format is not read.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    ValueInfo,
    Type,
    TensorType,
    Shape,
}

impl Message {
    /// The kind of the messages in a field; `None` if the field holds none with fields of their own.
    fn field(self, tag: u64) -> Option<Self> {
        match (self, tag) {
            (Self::Model, 7) => Some(Self::Graph),
            (Self::Graph, 1) => Some(Self::Node),
            (Self::Graph, 11 | 12) => Some(Self::ValueInfo),
            (Self::Node, 5) => Some(Self::Attribute),
            (Self::ValueInfo, 2) => Some(Self::Type),
            (Self::Type, 1) => Some(Self::TensorType),
            (Self::TensorType, 2) => Some(Self::Shape),
            _ => None,
        }
    }
}

/// Returns an error for a file with more than [`MAX_FIELDS`] messages: an empty one has two bytes in the file, and a hundred in memory.
///
/// A damaged file is none: decoding it is.
pub(super) fn check_size(file: &[u8]) -> Result<(), String> {
    let mut messages = vec![(Message::Model, file)];
    let mut count = 0;
    while let Some((kind, mut bytes)) = messages.pop() {
        while let Some((tag, content)) = next_field(&mut bytes) {
            let Some(content) = content else { continue };
            count += 1;
            if count > MAX_FIELDS {
                return Err(format!("has more than {MAX_FIELDS} messages, strings and arrays, which is not supported"));
            }
            messages.extend(kind.field(tag).map(|kind| (kind, content)));
        }
    }
    Ok(())
}

/// Removes the next field; returns its tag, and the content of a field with a length. `None` at the end, or where the file is damaged.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = varint(bytes)?;
    let length = match key & 7 {
        0 => varint(bytes).map(|_| 0)?,
        1 => 8,
        2 => varint(bytes)?,
        // The fields of a group count as those of the message.
        3 | 4 => 0,
        5 => 4,
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some((key >> 3, (key & 7 == 2).then_some(content)))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with a length.
    fn field(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![(tag << 3) | 2];
        let mut length = content.len();
        while length >= 0x80 {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        [bytes, content.to_vec()].concat()
    }

    #[test]
    fn files_of_many_empty_messages_are_errors() {
        let many = |content: &[u8]| content.repeat(MAX_FIELDS);
        let nodes = field(7, &many(&field(1, b"")));
        let strings = field(7, &field(1, &many(&field(2, b""))));
        let in_group =
            [vec![0x0B], field(7, &[vec![0x0B], many(&field(5, b"")), vec![0x0C]].concat()), vec![0x0C]].concat();
        let dims = field(7, &field(11, &field(2, &field(1, &field(2, &many(&field(1, b"")))))));
        for file in [nodes, strings, in_group, dims] {
            assert!(check_size(&file).unwrap_err().contains("more than"));
        }
    }

    #[test]
    fn damaged_files_are_left_to_the_decoder() {
        for file in [&b""[..], b"\x3A\x05ab", b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", &[0x3A; 64], b"\x0F"] {
            assert_eq!(check_size(file), Ok(()));
        }
    }
}
