//! The committed notebooks are executed, whole and small, and say something to everyone.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What a person waits for in a browser, and what a pull request can be read with.
const LARGEST: usize = 3_000_000;

fn notebooks() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("notebooks");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ipynb"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() >= 2, "{} notebooks", found.len());
    found
}

/// A value that a notebook stores as one string or as a list of lines.
fn text(value: &Value) -> String {
    match value {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

fn code_cells(notebook: &[u8]) -> Vec<Value> {
    let notebook: Value = serde_json::from_slice(notebook).unwrap();
    let cells = notebook["cells"].as_array().unwrap().clone();
    cells.into_iter().filter(|cell| cell["cell_type"] == "code").collect()
}

#[test]
fn every_notebook_is_below_three_megabytes() {
    for (name, bytes) in notebooks() {
        assert!(bytes.len() < LARGEST, "{name} has {} bytes", bytes.len());
    }
}

#[test]
fn every_cell_was_executed_in_order_without_an_error() {
    for (name, bytes) in notebooks() {
        for (index, cell) in code_cells(&bytes).iter().enumerate() {
            assert_eq!(cell["execution_count"], index + 1, "{name}: {}", text(&cell["source"]));
            for output in cell["outputs"].as_array().unwrap() {
                assert_ne!(output["output_type"], "error", "{name}: {}", text(&cell["source"]));
            }
        }
    }
}

#[test]
fn every_picture_decodes_and_has_its_size_a_description_and_a_text() {
    let mut pictures = 0;
    for (name, bytes) in notebooks() {
        for cell in code_cells(&bytes) {
            for output in cell["outputs"].as_array().unwrap() {
                let Some(png) = output["data"].get("image/png") else { continue };
                let png = STANDARD.decode(text(png).replace('\n', "")).unwrap();
                let picture = image::load_from_memory(&png).unwrap_or_else(|e| panic!("{name}: {e}"));
                let metadata = &output["metadata"]["image/png"];
                let width = metadata["width"].as_u64().unwrap_or(0) as u32;
                assert!(width > 0 && picture.width() >= width && width <= 900, "{name}: shown {width} wide");
                assert!(!text(&metadata["alt"]).is_empty(), "{name}: no description after {}", text(&cell["source"]));
                assert!(!text(&output["data"]["text/plain"]).is_empty(), "{name}: no text");
                assert!(output["data"].get("text/html").is_none(), "{name}: HTML would hide the picture");
                pictures += 1;
            }
        }
    }
    assert!(pictures >= 8, "{pictures} pictures");
}
