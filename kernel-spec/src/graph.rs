//! The packages that rust-analyzer reads: those whose types a cell can meet, instead of all that are compiled.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The package whose dependencies a cell sees only as far as they are in its interface.
const LIBRARY: &str = "metamers";

/// What `cargo metadata` said, without the packages behind the library's own dependencies; none if it is not understood.
pub fn trimmed(metadata: &str) -> Option<String> {
    let mut metadata: Value = serde_json::from_str(metadata).ok()?;
    let kept = kept(&metadata)?;
    let is_kept = |id: &Value| id.as_str().is_some_and(|id| kept.contains(id));
    metadata["packages"].as_array_mut()?.retain(|package| is_kept(&package["id"]));
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
