//! The packages that rust-analyzer reads: those whose types a cell can meet, instead of all that are compiled.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The package whose dependencies a cell sees only as far as they are in its interface.
const LIBRARY: &str = "metamers";

/// The packages of the standard library that have an interface of their own; the rest is what these are made of.
const STANDARD: [&str; 7] = [
    "core",
    "alloc",
    "std",
    "proc_macro",
    "rustc-std-workspace-core",
    "rustc-std-workspace-alloc",
    "rustc-std-workspace-std",
];

/// What `cargo metadata` said of the cells, without the packages behind the library's own dependencies; none if it is not understood.
pub fn trimmed(metadata: &str) -> Option<String> {
    let metadata = serde_json::from_str(metadata).ok()?;
    let kept = kept(&metadata)?;
    reduced(metadata, &kept)
}

/// What `cargo metadata` said of the standard library, without what is behind its interface; none if it is not understood.
pub fn trimmed_library(metadata: &str) -> Option<String> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    let packages = metadata["packages"].as_array()?.iter();
    let kept: BTreeSet<String> = packages
        .filter(|package| package["name"].as_str().is_some_and(|name| STANDARD.contains(&name)))
        .filter_map(|package| package["id"].as_str().map(str::to_owned))
        .collect();
    // An unknown shape of the library is read whole.
    (kept.len() >= 4).then_some(())?;
    reduced(metadata, &kept)
}

fn reduced(mut metadata: Value, kept: &BTreeSet<String>) -> Option<String> {
    let is_kept = |id: &Value| id.as_str().is_some_and(|id| kept.contains(id));
    metadata["packages"].as_array_mut()?.retain(|package| is_kept(&package["id"]));
    for members in ["workspace_members", "workspace_default_members"] {
        if let Some(members) = metadata[members].as_array_mut() {
            members.retain(is_kept);
        }
    }
    let nodes = metadata["resolve"]["nodes"].as_array_mut()?;
    nodes.retain(|node| is_kept(&node["id"]));
    for node in nodes {
        node["deps"].as_array_mut()?.retain(|dependency| is_kept(&dependency["pkg"]));
        node["dependencies"].as_array_mut()?.retain(is_kept);
    }
    Some(metadata.to_string())
}

fn kept(metadata: &Value) -> Option<BTreeSet<String>> {
    let mut dependencies = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array()? {
        let ids: Option<Vec<&str>> = node["dependencies"].as_array()?.iter().map(Value::as_str).collect();
        dependencies.insert(node["id"].as_str()?, ids?);
    }
    let mut library = None;
    for package in metadata["packages"].as_array()? {
        if package["name"] == LIBRARY {
            library = package["id"].as_str();
        }
    }
    let root = metadata["resolve"]["root"].as_str()?;
    let (mut kept, mut waiting) = (BTreeSet::new(), vec![root]);
    while let Some(id) = waiting.pop() {
        if !kept.insert(id.to_owned()) {
            continue;
        }
        let direct = dependencies.get(id).into_iter().flatten().copied();
        if Some(id) == library {
            kept.extend(direct.map(str::to_owned));
        } else {
            waiting.extend(direct);
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_lies_behind_the_library_is_left_out_and_a_persons_own_dependencies_are_kept_whole() {
        let nodes = [
            ("cell", vec!["metamers 1", "own"]),
            ("metamers 1", vec!["candle"]),
            ("candle", vec!["deep"]),
            ("own", vec!["below own"]),
            ("below own", vec![]),
            ("deep", vec![]),
        ];
        let metadata = json!({
            "workspace_members": ["cell"],
            "packages": nodes.iter().map(|(id, _)| json!({ "id": id, "name": id.split(' ').next() })).collect::<Vec<_>>(),
            "resolve": {
                "root": "cell",
                "nodes": nodes.iter().map(|(id, ids)| json!({
                    "id": id, "dependencies": ids, "deps": ids.iter().map(|id| json!({ "pkg": id })).collect::<Vec<_>>(),
                })).collect::<Vec<_>>(),
            },
        });
        let trimmed: Value = serde_json::from_str(&trimmed(&metadata.to_string()).unwrap()).unwrap();
        let ids = |list: &Value| -> Vec<String> {
            list.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&trimmed["packages"]), ["cell", "metamers 1", "candle", "own", "below own"]);
        assert_eq!(ids(&trimmed["resolve"]["nodes"]), ids(&trimmed["packages"]));
        assert_eq!(
            trimmed["resolve"]["nodes"][2]["dependencies"],
            json!([]),
            "a package must not name one that is not there"
        );
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        assert_eq!(trimmed("{}"), None);
        assert_eq!(trimmed("no json"), None);
    }
}
