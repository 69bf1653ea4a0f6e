//! The stack machine that reads a pickle; opcodes as in Python's `pickletools`.

use std::collections::HashMap;

use super::bytes::{Bytes, int};
use super::{Id, Pickle, Value};

/// Maximum number of opcodes. PyTorch writes about 40 for a tensor; the objects of this many take at most 0.5 GB.
const MAX_OPCODES: usize = 1 << 23;

/// The object that stands for all whose contents no checkpoint needs.
const OPAQUE: Id = Id(0);

/// Classes that are read as dicts.
const DICTS: [[&str; 2]; 4] =
    [["collections", "OrderedDict"], ["collections", "defaultdict"], ["builtins", "dict"], ["__builtin__", "dict"]];

type Done<T = ()> = Result<T, String>;

struct Machine<'a> {
    bytes: Bytes<'a>,
    pickle: Pickle<'a>,
    stack: Vec<Id>,
    /// Heights of the stack at which groups of items begin.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

/// Runs a pickle up to its `STOP`.
pub(super) fn run(bytes: &[u8]) -> Done<Pickle<'_>> {
    let pickle = Pickle { values: vec![Value::Opaque], items: vec![], globals: vec![], root: OPAQUE };
    let mut machine = Machine { bytes: Bytes(bytes), pickle, stack: vec![], marks: vec![], memo: HashMap::new() };
    for _ in 0..MAX_OPCODES {
        let op = machine.bytes.uint(1)? as u8;
        if op == b'.' {
            machine.pickle.root = machine.pop()?;
            return Ok(machine.pickle);
        }
        machine.step(op)?;
    }
    Err(format!("it has more than {MAX_OPCODES} opcodes"))
}

impl<'a> Machine<'a> {
    fn step(&mut self, op: u8) -> Done {
        match op {
            // PROTO and FRAME: neither the version nor the size of a frame matters.
            0x80 => self.bytes.take(1).map(drop),
            0x95 => self.bytes.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' if self.stack.len() == self.floor() => self.marks.pop().map(drop).ok_or_else(empty_stack),
            b'0' => self.pop().map(drop),
            b'1' => {
                let start = self.pop_mark()?;
                self.stack.truncate(start);
                Ok(())
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'q' | b'r' | b'h' | b'j' | 0x94 => self.memo(op),
            b'N' | b'G' | 0x88..=0x8b | b'J' | b'K' | b'M' => self.number(op),
            b'X' | 0x8c | 0x8d | b'T' | b'U' | b'B' | b'C' | 0x8e | 0x96 => self.string(op),
            b')' | b't' | 0x85..=0x87 | b'}' | b'd' | b's' | b'u' => self.tuple_or_dict(op),
            b']' | b'l' | b'a' | b'e' | 0x8f | 0x90 | 0x91 => self.list_or_set(op),
            b'c' | 0x93 | b'R' | 0x81 | 0x92 | b'b' | b'Q' => self.object(op),
            other => Err(format!("the opcode 0x{other:02x} is not supported; protocols 2 to 5 of Python's pickle are")),
        }
    }

    fn memo(&mut self, op: u8) -> Done {
        let key = match op {
            b'q' | b'h' => self.bytes.uint(1)?,
            b'r' | b'j' => self.bytes.uint(4)?,
            _ => self.memo.len() as u64,
        };
        if matches!(op, b'h' | b'j') {
            let found = *self.memo.get(&key).ok_or_else(|| format!("it refers to the object {key} before it"))?;
            self.stack.push(found);
        } else {
            let top = self.top()?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn number(&mut self, op: u8) -> Done {
        let number = match op {
            b'J' => int(self.bytes.take(4)?),
            b'K' => Some(self.bytes.uint(1)? as i64),
            b'M' => Some(self.bytes.uint(2)? as i64),
            0x8a => int(self.bytes.sized(1)?),
            0x8b => int(self.bytes.sized(4)?),
            b'G' => self.bytes.take(8).map(|_| None)?,
            // None, True, False.
            _ => None,
        };
        self.push_or_opaque(number.map(Value::Int));
        Ok(())
    }

    fn string(&mut self, op: u8) -> Done {
        let bytes = match op {
            0x8c | b'U' | b'C' => self.bytes.sized(1)?,
            b'X' | b'T' | b'B' => self.bytes.sized(4)?,
            _ => self.bytes.sized(8)?,
        };
        let is_text = !matches!(op, b'B' | b'C' | 0x8e | 0x96);
        let text = std::str::from_utf8(bytes).ok().filter(|_| is_text);
        self.push_or_opaque(text.map(Value::Text));
        Ok(())
    }

    fn tuple_or_dict(&mut self, op: u8) -> Done {
        match op {
            b'}' => self.push(Value::Dict(vec![])),
            b's' => {
                let start = self.height_below(2)?;
                return self.set_items(start);
            }
            b'u' => {
                let start = self.pop_mark()?;
                return self.set_items(start);
            }
            b'd' => {
                let start = self.pop_mark()?;
                let items = self.pairs(start)?;
                self.push(Value::Dict(items));
            }
            _ => {
                let start = match op {
                    b')' => self.stack.len(),
                    b't' => self.pop_mark()?,
                    _ => self.height_below(usize::from(op - 0x84))?,
                };
                let first = self.pickle.items.len() as u32;
                self.pickle.items.extend(self.stack.drain(start..));
                self.push(Value::Tuple { start: first, len: self.pickle.items.len() as u32 - first });
            }
        }
        Ok(())
    }

    /// Lists and sets: their items are read and dropped.
    fn list_or_set(&mut self, op: u8) -> Done {
        let start = match op {
            b']' | 0x8f => self.stack.len(),
            b'a' => self.height_below(1)?,
            _ => self.pop_mark()?,
        };
        self.stack.truncate(start);
        match op {
            b'a' | b'e' | 0x90 => self.top().map(drop),
            _ => {
                self.push_or_opaque(None);
                Ok(())
            }
        }
    }

    fn object(&mut self, op: u8) -> Done {
        match op {
            b'c' => {
                let global = [self.bytes.line()?, self.bytes.line()?];
                self.push_global(global);
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id| self.pickle.text(id).ok_or("the name of a class is not text");
                let global = [text(module)?, text(name)?];
                self.push_global(global);
            }
            // The state of an object: a state dict's holds version numbers, and of other objects nothing is needed.
            b'b' => {
                self.pop()?;
                self.top()?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            _ => {
                if op == 0x92 {
                    self.pop()?;
                }
                let (args, function) = (self.pop()?, self.pop()?);
                let is_dict = self.pickle.global(function).is_some_and(|global| DICTS.contains(&global));
                self.push(if is_dict { Value::Dict(vec![]) } else { Value::Call { function, args } });
            }
        }
        Ok(())
    }

    /// Moves the pairs above `start` into the object below them; an object of an unknown class with items becomes a dict.
    fn set_items(&mut self, start: usize) -> Done {
        let items = self.pairs(start)?;
        let object = self.top()?;
        match &mut self.pickle.values[object.0 as usize] {
            Value::Dict(all) => all.extend(items),
            call @ Value::Call { .. } => *call = Value::Dict(items),
            _ => return Err("it sets items of an object that has none".into()),
        }
        Ok(())
    }

    fn pairs(&mut self, start: usize) -> Done<Vec<(Id, Id)>> {
        let (pairs, rest) = self.stack[start..].as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a dict has a key without a value".into());
        }
        let pairs = pairs.iter().map(|&[key, value]| (key, value)).collect();
        self.stack.truncate(start);
        Ok(pairs)
    }

    fn push(&mut self, value: Value<'a>) {
        // Each opcode pushes at most one value, so that 32 bits suffice.
        self.stack.push(Id(self.pickle.values.len() as u32));
        self.pickle.values.push(value);
    }

    fn push_or_opaque(&mut self, value: Option<Value<'a>>) {
        match value {
            Some(value) => self.push(value),
            None => self.stack.push(OPAQUE),
        }
    }

    fn push_global(&mut self, global: [&'a str; 2]) {
        self.push(Value::Global(self.pickle.globals.len() as u32));
        self.pickle.globals.push(global);
    }

    /// The height of the stack that cannot be popped, because a mark is there.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or_default()
    }

    /// The height of the stack without its topmost `count` values.
    fn height_below(&self, count: usize) -> Done<usize> {
        self.stack.len().checked_sub(count).filter(|&height| height >= self.floor()).ok_or_else(empty_stack)
    }

    fn pop(&mut self) -> Done<Id> {
        self.height_below(1)?;
        self.stack.pop().ok_or_else(empty_stack)
    }

    fn pop_mark(&mut self) -> Done<usize> {
        self.marks.pop().ok_or_else(|| "it ends a group that it has not begun".into())
    }

    fn top(&self) -> Done<Id> {
        Ok(self.stack[self.height_below(1)?])
    }
}

fn empty_stack() -> String {
    "it takes an object from an empty stack".into()
}
