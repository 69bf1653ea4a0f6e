//! `cargo lab --strip` and `--sizes` on real files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

/// A notebook as Jupyter writes it, with unsorted keys and non-ASCII letters.
const NOTEBOOK: &str = r##"{
 "cells": [
  {
   "cell_type": "markdown",
   "metadata": {},
   "source": [
    "# ρ is a letter\n",
    "and 1e-05 a number"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": 3,
   "id": "b7",
   "metadata": {
    "tags": [
     "kept"
    ],
    "zoom": 1e-05
   },
   "outputs": [
    {
     "data": {
      "image/png": "iVBORw0KGgo=",
      "text/plain": [
       "a dot"
      ]
     },
     "metadata": {},
     "output_type": "display_data"
    }
   ],
   "source": [
    "dot"
   ]
  }
 ],
 "metadata": {
  "kernelspec": {
   "name": "metamers",
   "display_name": "Rust (metamers)"
  }
 },
 "nbformat": 4,
 "nbformat_minor": 5
}
"##;

fn lab(option: &str, paths: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metamers-lab")).arg(option).args(paths).output().unwrap()
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn stripping_removes_only_outputs_and_counts_and_is_idempotent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("04_one.ipynb");
    fs::write(&path, NOTEBOOK).unwrap();
    // The notebook is given by a prefix of its name.
    let done = lab("--strip", &[&folder.path().join("04")]);
    assert!(done.status.success(), "{}", text_of(&done.stderr));
    let (before, rest) = NOTEBOOK.split_once("   \"outputs\": [\n").unwrap();
    let after = rest.split_once("\n   ],\n   \"source\"").unwrap().1;
    let expected = format!("{before}   \"outputs\": [],\n   \"source\"{after}");
    let expected = expected.replace("\"execution_count\": 3", "\"execution_count\": null");
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    let done = lab("--strip", &[&path]);
    assert!(text_of(&done.stdout).contains("has no outputs"), "{}", text_of(&done.stdout));
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "temporary files were left behind");
}

#[test]
fn an_invalid_notebook_leaves_all_others_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.ipynb"), folder.path().join("bad.ipynb"));
    fs::write(&good, NOTEBOOK).unwrap();
    for content in ["not a notebook", "[]", "{\"cells\": []}", "{\"cells\": [], \"nbformat\": 3}"] {
        fs::write(&bad, content).unwrap();
        let done = lab("--strip", &[&good, &bad]);
        assert_eq!(done.status.code(), Some(1));
        assert!(text_of(&done.stderr).contains("bad.ipynb is not a notebook"), "{}", text_of(&done.stderr));
        assert_eq!(fs::read_to_string(&good).unwrap(), NOTEBOOK);
    }
    let done = lab("--strip", &[&folder.path().join("missing.ipynb")]);
    assert!(text_of(&done.stderr).contains("missing.ipynb: cannot be opened"), "{}", text_of(&done.stderr));
}

#[test]
fn malformed_notebooks_are_one_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.ipynb");
    let cells = |cell: &str| format!(r#"{{"nbformat": 4, "nbformat_minor": 4, "metadata": {{}}, "cells": [{cell}]}}"#);
    let code = |fields: &str| cells(&format!(r#"{{"cell_type": "code", "metadata": {{}}, "source": "1", {fields}}}"#));
    let contents = [
        String::new(),
        "null".into(),
        "[".repeat(100_000),
        cells("null"),
        cells("\"text\""),
        cells(r#"{"cell_type": "code", "source": 1}"#),
        code(r#""outputs": {}"#),
        code(r#""outputs": [null]"#),
        code(r#""outputs": [{"output_type": []}]"#),
        code(r#""outputs": [{"output_type": "display_data", "data": []}]"#),
        code(r#""outputs": [], "x": "\ud800""#),
        r#"{"nbformat": 3, "worksheets": []}"#.into(),
    ];
    let assert_one_line = |done: Output, content: &str| {
        let text = text_of(&done.stderr);
        assert_eq!((done.status.code(), text.lines().count()), (Some(1), 1), "{content:.80}: {text}");
        assert!(text.starts_with("error: ") && text.contains("bad.ipynb"), "{content:.80}: {text}");
    };
    for content in contents {
        fs::write(&path, &content).unwrap();
        assert_one_line(lab("--strip", &[&path]), &content);
        assert_one_line(lab("--sizes", &[&path]), &content);
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_one_line(lab("--strip", &[&path]), "a pipe");
    assert_one_line(lab("--sizes", &[&path]), "a pipe");
}

#[test]
fn sizes_list_the_largest_outputs_and_fail_at_three_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.ipynb");
    let with = |letters: usize| {
        let data = json!({ "image/png": "A".repeat(letters), "text/plain": "a picture" });
        let output = json!({ "output_type": "display_data", "metadata": {}, "data": data });
        let printed = json!({ "output_type": "stream", "name": "stdout", "text": "B".repeat(2000) });
        let cell = json!({ "cell_type": "code", "metadata": {}, "execution_count": 1, "source": ["\n", "show(picture)"],
            "outputs": [printed, output] });
        let notebook = json!({ "nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell] });
        fs::write(&path, notebook.to_string()).unwrap();
        fs::metadata(&path).unwrap().len()
    };
    let rest = with(1_000_000) - 1_000_000;
    let done = lab("--sizes", &[&path]);
    assert_eq!(done.status.code(), Some(0), "{}", text_of(&done.stderr));
    let text = text_of(&done.stdout);
    for part in [
        "33% of 3 MB",
        "  1 cells 0 kB, 2 outputs 1,002 kB",
        "1,000 kB  image/png",
        "2 kB  stream",
        "1,000 kB  cell 1, image/png: show(picture)",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    for (letters, status) in [(2_999_999 - rest, 0), (3_000_000 - rest, 1)] {
        with(letters as usize);
        let done = lab("--sizes", &[&path]);
        assert_eq!(done.status.code(), Some(status));
        assert_eq!(text_of(&done.stderr).contains("error: over 3 MB: "), status == 1);
    }
}

#[test]
fn the_committed_notebooks_are_small_enough() {
    // Without arguments the notebooks of the project are checked.
    let done = lab("--sizes", &[]);
    assert_eq!(done.status.code(), Some(0), "{}", text_of(&done.stderr));
    assert!(text_of(&done.stdout).lines().filter(|line| line.contains(".ipynb: ")).count() >= 7);
}
