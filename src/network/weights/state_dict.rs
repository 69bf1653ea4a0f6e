//! The state dict within the objects of a checkpoint.

use std::collections::HashSet;

use super::pickle::{Id, Pickle, Value};
use super::tensor_view::{TensorView, ViewType};

/// Keys under which training programs store the state dict, the preferred first.
const KEYS: [&str; 8] =
    ["state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "net_state_dict"];

/// Maximum number of dicts around the state dict.
const MAX_DEPTH: usize = 8;
/// Maximum number of names in an error.
const MAX_NAMES: usize = 8;

/// A tensor of the state dict, or the reason that it cannot be read.
pub(super) type Entry<'a> = (String, Result<TensorView<'a>, String>);

/// Dicts that may be the state dict; several by their paths, as Python's indices such as `["a"]["b"]`.
enum Found {
    None,
    One(Id),
    Several(Vec<String>),
}

impl Found {
    /// The same, found in the dict under this key.
    fn under(self, key: &str) -> Self {
        match self {
            Self::Several(_) => Self::Several(self.paths(key)),
            found => found,
        }
    }

    /// The paths from a dict in which this was found under the key.
    fn paths(self, key: &str) -> Vec<String> {
        match self {
            Self::None => vec![],
            Self::One(_) => vec![format!("[{key:?}]")],
            Self::Several(paths) => paths.into_iter().map(|path| format!("[{key:?}]{path}")).collect(),
        }
    }
}

/// The tensors of the state dict.
///
/// In a dict, the first of [`KEYS`] counts under which there is a dict that holds float tensors, directly or in further dicts. Without
/// one, the only dict under another key counts that holds a tensor of two or more axes and at least as many float tensors as there are
/// beside it, otherwise the dict itself. The state of an optimizer (a dict with `param_groups`) is skipped.
///
/// # Errors
/// The reason that there is none, or that there are several.
pub(super) fn entries<'a>(pickle: &Pickle<'a>) -> Result<Vec<Entry<'a>>, String> {
    let mut visited = HashSet::new();
    match search(pickle, pickle.root(), MAX_DEPTH, &mut visited) {
        Found::One(id) => {
            let items = pickle.dict(id).unwrap_or_default().iter();
            Ok(items
                .filter_map(|&(key, value)| Some((pickle.text(key)?.to_owned(), TensorView::read(pickle, value)?)))
                .collect())
        }
        Found::Several(paths) => Err(format!(
            "holds several state dicts: {}; save the one that you need: torch.save(torch.load(file, map_location=\"cpu\"){}, other)",
            listed(paths.iter().map(String::as_str)),
            paths.first().map_or("", String::as_str),
        )),
        Found::None => {
            Err(format!("{}; save only the state dict: torch.save(model.state_dict(), file)", content(pickle)))
        }
    }
}

fn search(pickle: &Pickle<'_>, id: Id, depth: usize, visited: &mut HashSet<Id>) -> Found {
    let Some(items) = pickle.dict(id).filter(|_| depth > 0 && visited.insert(id)) else { return Found::None };
    let named = || items.iter().filter_map(|&(key, value)| Some((pickle.text(key)?, value)));
    if named().any(|(key, _)| key == "param_groups") {
        return Found::None;
    }
    for wanted in KEYS {
        for (key, value) in named().filter(|(key, _)| *key == wanted) {
            match search(pickle, value, depth - 1, visited) {
                Found::None => {}
                found => return found.under(key),
            }
        }
    }
    let mut others = vec![];
    for (key, value) in named().filter(|(key, _)| !KEYS.contains(key) && !key.ends_with("_extra_state")) {
        match search(pickle, value, depth - 1, visited) {
            Found::None => {}
            found => others.push((key, found)),
        }
    }
    let is_network = |found: &Found| !matches!(found, Found::One(inner) if !has_matrix(pickle, *inner));
    if others.iter().any(|(_, found)| is_network(found)) {
        others.retain(|(_, found)| is_network(found));
    }
    let own = floats(pickle, id);
    // A state dict beside a few statistics, if it holds more tensors.
    others.retain(|(_, found)| !matches!(found, Found::One(inner) if floats(pickle, *inner) < own));
    match others.len() {
        0 if own > 0 => Found::One(id),
        0 => Found::None,
        1 => others.pop().map_or(Found::None, |(key, found)| found.under(key)),
        _ => Found::Several(others.into_iter().flat_map(|(key, found)| found.paths(key)).collect()),
    }
}

/// The number of float tensors in a dict.
fn floats(pickle: &Pickle<'_>, id: Id) -> usize {
    float_views(pickle, id).count()
}

/// Returns whether a dict holds a float tensor of two or more axes, as every network does, but few statistics.
fn has_matrix(pickle: &Pickle<'_>, id: Id) -> bool {
    float_views(pickle, id).any(|view| view.map_or(true, |view| view.shape.len() > 1))
}

/// The float tensors in a dict, and those whose description is invalid.
fn float_views<'a>(pickle: &Pickle<'a>, id: Id) -> impl Iterator<Item = Result<TensorView<'a>, String>> {
    let views = pickle.dict(id).unwrap_or_default().iter().filter_map(move |&(key, value)| {
        pickle.text(key)?;
        TensorView::read(pickle, value)
    });
    views.filter(|view| view.as_ref().map_or(true, |view| matches!(view.dtype, ViewType::Float(_))))
}

/// A description of a pickle without a state dict.
fn content(pickle: &Pickle<'_>) -> String {
    let class = |id: Id| match *pickle.value(id) {
        Value::Call { function, .. } if TensorView::read(pickle, id).is_none() => pickle.global(function),
        _ => None,
    };
    let items = pickle.dict(pickle.root()).unwrap_or_default();
    let object = items.iter().filter(|(key, _)| pickle.text(*key).is_some_and(|key| KEYS.contains(&key)));
    let object = std::iter::once(pickle.root()).chain(object.map(|&(_, value)| value)).find_map(class);
    match object {
        Some([module, name]) => {
            format!("holds an object of the class {module}.{name}, which needs its Python code, and no state dict")
        }
        None if items.is_empty() => "has no named float tensors".into(),
        None => {
            let keys = items.iter().filter_map(|&(key, _)| pickle.text(key));
            format!("has no named float tensors; its keys are {}", listed(keys))
        }
    }
}

/// The first names, and the number of the others.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names[..names.len().min(MAX_NAMES)].iter().map(|name| name.chars().take(80).collect::<String>());
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if names.len() > MAX_NAMES {
        text += &format!(" and {} more", names.len() - MAX_NAMES);
    }
    text
}
