//! Python pickles as plain values: nothing is imported, called or executed.

mod bytes;
mod machine;

/// A Python object in a [`Pickle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(u32);

/// A Python object that the pickle describes.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    Int(i64),
    Text(&'a str),
    /// A class or function, an index into the pickle's globals.
    Global(u32),
    /// A range of the pickle's items.
    Tuple {
        start: u32,
        len: u32,
    },
    /// A dict, or an object that has items; of a key that occurs more than once, the last value counts.
    Dict(Vec<(Id, Id)>),
    /// A reference to an object outside the pickle: a storage.
    Persistent(Id),
    /// A class or function applied to arguments. It is not run.
    Call {
        function: Id,
        args: Id,
    },
    /// Any other object: numbers, bytes, lists, sets, `None`.
    Opaque,
}

/// A pickled object, and all objects in it.
///
/// Objects refer to each other by index, so shared ones exist once, and neither reading nor dropping recurses: the nesting of the
/// pickle does not matter.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    items: Vec<Id>,
    globals: Vec<[&'a str; 2]>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle of protocol 2 to 5. The error is the reason that it cannot be read.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        machine::run(bytes)
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id.0 as usize]
    }

    pub fn text(&self, id: Id) -> Option<&'a str> {
        match *self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn tuple(&self, id: Id) -> Option<&[Id]> {
        match *self.value(id) {
            Value::Tuple { start, len } => Some(&self.items[start as usize..][..len as usize]),
            _ => None,
        }
    }

    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.value(id) {
            Value::Dict(items) => Some(items),
            _ => None,
        }
    }

    /// The module and the name of a class or function.
    pub fn global(&self, id: Id) -> Option<[&'a str; 2]> {
        match *self.value(id) {
            Value::Global(index) => self.globals.get(index as usize).copied(),
            _ => None,
        }
    }

    /// The class or function of a call, and its arguments.
    pub fn call(&self, id: Id) -> Option<([&'a str; 2], &[Id])> {
        match *self.value(id) {
            Value::Call { function, args } => Some((self.global(function)?, self.tuple(args)?)),
            _ => None,
        }
    }
}
