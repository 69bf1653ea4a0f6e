//! The nodes selected as stages, and the nodes that they depend on.

use std::collections::HashMap;

use super::{OnnxOptions, proto};
use crate::{Error, Result};

/// A node selected as a stage.
pub(super) struct SelectedStage {
    pub name: String,
    pub node: usize,
    pub output: String,
}

/// The stages selected by the options, each with its node.
pub(super) fn selected(options: &OnnxOptions, nodes: &[proto::Node]) -> Result<Vec<SelectedStage>> {
    let find = |(name, wanted): &(String, String)| {
        let by_name = nodes.iter().position(|node| node.name == *wanted && !wanted.is_empty());
        let by_output = || nodes.iter().position(|node| node.outputs.first() == Some(wanted));
        let output = |node: usize| nodes[node].outputs.first().cloned().unwrap_or_default();
        match by_name.or_else(by_output) {
            Some(node) => Ok(SelectedStage { name: name.clone(), node, output: output(node) }),
            None => {
                let known = nodes.iter().flat_map(|node| [Some(&node.name), node.outputs.first()]);
                let known = known.flatten().filter(|name| !name.is_empty()).map(String::as_str);
                Err(Error::unknown("node in the ONNX file", wanted, known))
            }
        }
    };
    options.stages.iter().map(find).collect()
}

/// The nodes that the target outputs depend on, in file order.
pub(super) fn needed(nodes: &[proto::Node], targets: &[&str]) -> Vec<usize> {
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        node.outputs.iter().for_each(|output| {
            producers.entry(output).or_insert(index);
        });
    }
    let mut wanted: Vec<&str> = targets.to_vec();
    let mut needed = vec![false; nodes.len()];
    while let Some(name) = wanted.pop() {
        if let Some(&index) = producers.get(name).filter(|&&index| !needed[index]) {
            needed[index] = true;
            wanted.extend(nodes[index].inputs.iter().map(String::as_str));
        }
    }
    (0..nodes.len()).filter(|&index| needed[index]).collect()
}
