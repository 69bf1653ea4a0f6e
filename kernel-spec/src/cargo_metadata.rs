//! Trimming of `cargo metadata`, so that rust-analyzer reads only packages whose types a cell can name, and not all that are compiled.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The package whose transitive dependencies are dropped: cells see them only through its interface.
const LIBRARY_CRATE: &str = "metamers";

/// The packages of the standard library with a public interface; the others are implementation details.
const STD_CRATES: [&str; 7] = [
    "core",
    "alloc",
    "std",
    "proc_macro",
    "rustc-std-workspace-core",
    "rustc-std-workspace-alloc",
    "rustc-std-workspace-std",
];

/// Drops the dependencies of the library's dependencies from the cells' metadata; `None` if the format is unknown.
#[must_use]
pub fn trim_metadata(metadata: &str) -> Option<String> {
    let metadata = serde_json::from_str(metadata).ok()?;
    let kept = reachable_packages(&metadata)?;
    retain_packages(metadata, &kept)
}

/// Drops the implementation details from the standard library's metadata; `None` if the format is unknown.
#[must_use]
pub fn trim_std_metadata(metadata: &str) -> Option<String> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    let packages = metadata["packages"].as_array()?.iter();
    let kept: BTreeSet<String> = packages
        .filter(|package| package["name"].as_str().is_some_and(|name| STD_CRATES.contains(&name)))
        .filter_map(|package| package["id"].as_str().map(str::to_owned))
        .collect();
    // A standard library with other packages is left as it is.
    (kept.len() >= 4).then_some(())?;
    retain_packages(metadata, &kept)
}

fn retain_packages(mut metadata: Value, kept: &BTreeSet<String>) -> Option<String> {
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

/// The ids of the root package's dependencies, without those behind the library's direct dependencies.
fn reachable_packages(metadata: &Value) -> Option<BTreeSet<String>> {
    let mut dependencies = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array()? {
        let ids: Option<Vec<&str>> = node["dependencies"].as_array()?.iter().map(Value::as_str).collect();
        dependencies.insert(node["id"].as_str()?, ids?);
    }
    let mut library = None;
    for package in metadata["packages"].as_array()? {
        if package["name"] == LIBRARY_CRATE {
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
    fn dependencies_behind_the_library_are_dropped_and_the_users_own_are_kept() {
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
        let trimmed: Value = serde_json::from_str(&trim_metadata(&metadata.to_string()).unwrap()).unwrap();
        let ids = |list: &Value| -> Vec<String> {
            list.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&trimmed["packages"]), ["cell", "metamers 1", "candle", "own", "below own"]);
        assert_eq!(ids(&trimmed["resolve"]["nodes"]), ids(&trimmed["packages"]));
        assert_eq!(
            trimmed["resolve"]["nodes"][2]["dependencies"],
            json!([]),
            "a package must not name one that was dropped"
        );
    }

    #[test]
    fn unknown_formats_are_rejected() {
        assert_eq!(trim_metadata("{}"), None);
        assert_eq!(trim_metadata("no json"), None);
    }
}
