//! Fingerprints of networks without a weights file.

use sha2::{Digest, Sha256};

use crate::fs::sha256::hex;
use crate::network::{Input, Node, Stage};

/// Hexadecimal SHA-256 of the layers, their connections, their values and the names of the stages.
pub(in crate::network) fn network(input: &Input, nodes: &[Node], stages: &[Stage]) -> String {
    let mut hasher = Sha256::new();
    numbers(&mut hasher, &input.shape());
    for node in nodes {
        let (settings, arrays) = node.layer.identity();
        text(&mut hasher, node.layer.name());
        numbers(&mut hasher, &node.inputs.iter().map(|id| id.0).collect::<Vec<_>>());
        numbers(&mut hasher, &settings);
        for array in arrays {
            numbers(&mut hasher, &[array.len()]);
            let mut bytes = Vec::with_capacity(4 * array.len());
            array.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
            hasher.update(&bytes);
        }
    }
    for stage in stages {
        text(&mut hasher, &stage.name);
        numbers(&mut hasher, &[stage.node.0]);
    }
    hex(&hasher.finalize())
}

// Lengths are hashed first, so that different networks cannot give the same bytes.
fn numbers(hasher: &mut Sha256, numbers: &[usize]) {
    hasher.update((numbers.len() as u64).to_le_bytes());
    numbers.iter().for_each(|&n| hasher.update((n as u64).to_le_bytes()));
}

fn text(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text);
}
