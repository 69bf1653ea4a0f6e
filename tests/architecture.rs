//! Checks the dependencies between the folders of `src/` against the table of CONTRIBUTING.md.
//!
//! The table lists, for each folder, the folders that it may refer to by `crate::`. Comments, strings and `#[cfg(test)]` items
//! do not count; `lib.rs`, `prelude.rs` and `bin/` are exempt.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Modules that every other may use, without a mention in its row.
const USED_EVERYWHERE: [&str; 2] = ["error", "finite"];
/// Top-level modules without a row.
const EXEMPT: [&str; 3] = ["lib", "prelude", "bin"];
/// Items at the root of the crate, and the modules that define them; external crates have none.
const ROOT_ITEMS: [(&str, Option<&str>); 5] = [
    ("Error", Some("error")),
    ("Result", Some("error")),
    ("show_in_notebooks", Some("display")),
    ("candle", None),
    ("candle_nn", None),
];

/// The allowed references: a module, and the modules that it may use.
type Table = BTreeMap<String, BTreeSet<String>>;
/// Source files: path relative to `src/` with forward slashes, and text.
type Sources = Vec<(String, String)>;

/// Parses the table whose header starts with `| folder`: the first column names a module, the last the modules that it knows.
fn parse_table(markdown: &str) -> Table {
    let rows = markdown.lines().skip_while(|line| !line.starts_with("| folder")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').collect();
            let module = quoted_names(cells.first()?).into_iter().next()?;
            Some((module, quoted_names(cells.last()?)))
        })
        .collect()
}

/// The names between backticks, without `/` or `.rs` at their ends.
fn quoted_names(cell: &str) -> BTreeSet<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.map(|name| name.trim_end_matches('/').trim_end_matches(".rs").to_string()).collect()
}

/// Blanks comments and the contents of string and character literals; keeps line breaks.
fn strip_comments_and_literals(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut i = 0;
    while i < text.len() {
        let end = match (text[i], text.get(i + 1)) {
            ('/', Some('/')) => line_comment_end(&text, i),
            ('/', Some('*')) => block_comment_end(&text, i),
            ('"', _) => string_end(&text, i),
            ('r', Some('"' | '#')) if i == 0 || !is_name_char(text[i - 1]) || text[i - 1] == 'b' => {
                raw_string_end(&text, i)
            }
            ('\'', _) => character_end(&text, i),
            _ => i,
        };
        if end == i {
            code.push(text[i]);
            i += 1;
        } else {
            code.extend(text[i..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    code
}

fn line_comment_end(text: &[char], start: usize) -> usize {
    (start..text.len()).find(|&i| text[i] == '\n').unwrap_or(text.len())
}

fn block_comment_end(text: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i < text.len() {
        match (text[i], text.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    i
}

fn string_end(text: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < text.len() && text[i] != '"' {
        i += if text[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(text.len())
}

/// Returns the end of `r"..."` or `r#"..."#`, and `start` for a raw identifier.
fn raw_string_end(text: &[char], start: usize) -> usize {
    let hashes = text[start + 1..].iter().take_while(|&&c| c == '#').count();
    if text.get(start + 1 + hashes) != Some(&'"') {
        return start;
    }
    let closes =
        |&i: &usize| text[i] == '"' && text[i + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
    (start + 2 + hashes..text.len()).find(closes).map_or(text.len(), |i| i + 1 + hashes)
}

/// Returns the end of a character literal, and `start` for a lifetime.
fn character_end(text: &[char], start: usize) -> usize {
    match (text.get(start + 1), text.get(start + 2)) {
        (Some('\\'), Some(_)) => (start + 3..text.len()).find(|&i| text[i] == '\'').map_or(text.len(), |i| i + 1),
        (Some(_), Some('\'')) => start + 3,
        _ => start,
    }
}

/// Removes each item behind `#[cfg(test)]`, from text without comments and literals.
fn remove_test_items(mut code: String) -> String {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    while let Some(start) = code.find(ATTRIBUTE) {
        let mut depth = 0;
        let mut end = code.len();
        for (i, c) in code[start + ATTRIBUTE.len()..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth <= 0 && matches!(c, '}' | ';') {
                end = start + ATTRIBUTE.len() + i + c.len_utf8();
                break;
            }
        }
        code.replace_range(start..end, "");
    }
    code
}

/// The names that follow `crate::`, those of grouped imports included.
fn crate_references(source: &str) -> BTreeSet<String> {
    const PREFIX: &str = "crate::";
    let code = remove_test_items(strip_comments_and_literals(source));
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(PREFIX) {
        if code[..at].ends_with(is_name_char) {
            continue;
        }
        let path = code[at + PREFIX.len()..].trim_start();
        match path.strip_prefix('{') {
            Some(group) => names.extend(group_names(group)),
            None => names.extend(leading_name(path)),
        }
    }
    names
}

/// The first name of each path in a group, from the text after its opening brace.
fn group_names(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut start) = (vec![], 1, 0);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            names.extend(leading_name(&group[start..i]));
            start = i + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn leading_name(path: &str) -> Option<String> {
    let path = path.trim_start();
    let end = path.find(|c| !is_name_char(c)).unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_string())
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The top-level module of a file of `src/`.
fn module_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

/// Compares sources with the table; returns one line for each difference.
fn check(table: &Table, sources: &Sources) -> Vec<String> {
    let mut problems = vec![];
    let mut used: Table = BTreeMap::new();
    for (path, text) in sources {
        let module = module_of(path);
        if EXEMPT.contains(&module) {
            continue;
        }
        let known = used.entry(module.to_string()).or_default();
        for name in crate_references(text) {
            let target = match ROOT_ITEMS.iter().find(|(item, _)| *item == name) {
                Some((_, None)) => continue,
                Some((_, Some(target))) => target,
                None => name.as_str(),
            };
            if target == module || USED_EVERYWHERE.contains(&target) {
                continue;
            }
            known.insert(target.to_string());
            if !table.contains_key(target) {
                problems.push(format!("src/{path} uses crate::{name}, for which the table has no row"));
            } else if table.get(module).is_some_and(|allowed| !allowed.contains(target)) {
                problems.push(format!("src/{path} uses crate::{name}, but the row of {module} does not list {target}"));
            }
        }
    }
    problems.extend(check_rows(table, &used));
    problems.extend(find_cycle(table));
    problems
}

/// Finds modules without a row, rows without a module, and listed modules that are never used.
fn check_rows(table: &Table, used: &Table) -> Vec<String> {
    let mut problems = vec![];
    for module in used.keys().filter(|module| !table.contains_key(*module)) {
        problems.push(format!("src/{module} has no row in the table"));
    }
    for (module, allowed) in table {
        let Some(known) = used.get(module) else {
            problems.push(format!("the table has a row for {module}, which is not in src/"));
            continue;
        };
        for name in allowed.difference(known) {
            problems.push(format!("the row of {module} lists {name}, which src/{module} does not use"));
        }
    }
    problems
}

/// Finds a cycle in the allowed references, by repeatedly removing the modules that refer to no remaining module.
fn find_cycle(table: &Table) -> Option<String> {
    let mut left = table.clone();
    loop {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, allowed| !allowed.is_disjoint(&names));
        if left.is_empty() {
            return None;
        }
        if left.len() == before {
            break;
        }
    }
    let mut walk: Vec<&String> = vec![left.keys().next()?];
    loop {
        let next = left[*walk.last()?].iter().find(|name| left.contains_key(*name))?;
        if let Some(start) = walk.iter().position(|name| *name == next) {
            let cycle: Vec<&str> = walk[start..].iter().copied().chain([next]).map(String::as_str).collect();
            return Some(format!("the table allows a cycle: {}", cycle.join(" -> ")));
        }
        walk.push(next);
    }
}

/// Reads all Rust files below a folder, except unit tests (`tests.rs`).
fn read_sources(root: &Path, folder: &Path, sources: &mut Sources) {
    for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            read_sources(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let relative = path.strip_prefix(root).expect("the file is below the root");
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            sources.push((parts.join("/"), std::fs::read_to_string(&path).expect("the source can be read")));
        }
    }
}

#[test]
fn folders_refer_only_to_the_folders_in_their_row() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table =
        parse_table(&std::fs::read_to_string(project.join("CONTRIBUTING.md")).expect("CONTRIBUTING.md can be read"));
    assert!(!table.is_empty(), "CONTRIBUTING.md has no table with the header `| folder`");
    let root = project.join("src");
    let mut sources = vec![];
    read_sources(&root, &root, &mut sources);
    let problems = check(&table, &sources);
    assert!(problems.is_empty(), "src/ and the table of CONTRIBUTING.md differ:\n{}", problems.join("\n"));
}

/// The first code outside a folder `platform` that is for one operating system; unit tests, at the end of a file, do not count.
fn code_for_one_system(path: &str, text: &str) -> Option<&'static str> {
    const MARKS: [&str; 4] = ["(unix", "(windows", "target_os", "std::os::"];
    // A browser has no operating system.
    let code = strip_comments_and_literals(&text.replace("target_os = \"unknown\"", "browser"));
    let code = ["#[cfg(test)]", "#[cfg(all(test"]
        .iter()
        .filter_map(|tests| code.split(tests).next())
        .min_by_key(|c| c.len())?;
    let is_exempt = path.split('/').any(|part| part == "platform");
    MARKS.into_iter().find(|mark| !is_exempt && code.contains(mark))
}

#[test]
fn code_for_one_operating_system_is_in_a_folder_named_platform() {
    for folder in ["src", "kernel-spec/src", "kernel-spec/lab/src"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut sources = vec![];
        read_sources(&root, &root, &mut sources);
        assert!(sources.iter().any(|(path, _)| path.starts_with("platform/")), "{folder} has no folder platform");
        for (path, text) in &sources {
            assert_eq!(code_for_one_system(path, text), None, "{folder}/{path}");
        }
    }
    assert_eq!(code_for_one_system("a/b.rs", "#[cfg(unix)]\nfn f() {}"), Some("(unix"));
    assert_eq!(code_for_one_system("a/b.rs", "#[cfg(target_os = \"linux\")]\nfn f() {}"), Some("target_os"));
    assert_eq!(code_for_one_system("a/b.rs", "#[cfg(target_os = \"unknown\")]\nfn f() {}"), None);
    assert_eq!(code_for_one_system("a/b.rs", "use std::os::fd::OwnedFd; #[cfg(test)] mod tests {}"), Some("std::os::"));
    assert_eq!(
        code_for_one_system("a/b.rs", "// cfg(unix)\n#[cfg(all(test, unix))] mod tests { use std::os::unix; }"),
        None
    );
}

const PLANTED_TABLE: &str = "\
Text before.

| folder of `src/` | contents | knows |
| --- | --- | --- |
| `low/` | basics | |
| `middle/` | mentions `low/` in its text | `low` |
| `high/` | the rest | `low`, `middle` |
";

fn planted(files: &[(&str, &str)]) -> Sources {
    let mut sources = vec![
        ("lib.rs".to_string(), "pub use crate::high::Anything;".to_string()),
        ("low/mod.rs".to_string(), "use crate::{Error, Result, candle};".to_string()),
        ("middle/mod.rs".to_string(), "use crate::low::Thing;".to_string()),
        ("high/mod.rs".to_string(), "use crate::{\n    low::{A, B},\n    middle,\n};".to_string()),
    ];
    sources.extend(files.iter().map(|(path, text)| (path.to_string(), text.to_string())));
    sources
}

#[test]
fn a_tree_that_follows_the_table_passes() {
    let harmless = "\
// use crate::high::A;
/* crate::high */
fn text<'a>(quote: char) -> &'a str { if quote == '\"' { \"crate::high\" } else { r#\"crate::high \"quoted\"\"# } }
#[cfg(test)]
mod tests { use crate::high::A; fn inner() { let _ = '{'; } }
";
    assert_eq!(check(&parse_table(PLANTED_TABLE), &planted(&[("middle/quiet.rs", harmless)])), Vec::<String>::new());
}

#[test]
fn a_forbidden_import_is_reported() {
    let table = parse_table(PLANTED_TABLE);
    let message = "src/low/bad.rs uses crate::high, but the row of low does not list high";
    for text in
        ["use crate::high::A;", "use crate::{Error, high::{A, B}};", "fn f() { let _ = crate::high::A::new(\"//\"); }"]
    {
        assert_eq!(check(&table, &planted(&[("low/bad.rs", text)])), [message], "{text}");
    }
}

#[test]
fn an_unknown_module_is_reported() {
    let found = check(&parse_table(PLANTED_TABLE), &planted(&[("low/bad.rs", "use crate::nowhere::A;")]));
    assert_eq!(found, ["src/low/bad.rs uses crate::nowhere, for which the table has no row"]);
}

#[test]
fn a_folder_without_a_row_and_a_row_without_a_folder_are_reported() {
    let table = parse_table(&format!("{PLANTED_TABLE}| `gone/` | nothing | |\n"));
    let found = check(&table, &planted(&[("new/mod.rs", "")]));
    assert_eq!(found, ["src/new has no row in the table", "the table has a row for gone, which is not in src/"]);
}

#[test]
fn an_unused_permission_is_reported() {
    let table = parse_table(&PLANTED_TABLE.replace("| `low`, `middle` |", "| `error`, `low`, `middle` |"));
    assert_eq!(check(&table, &planted(&[])), ["the row of high lists error, which src/high does not use"]);
}

#[test]
fn a_cycle_is_reported() {
    let table = parse_table(&PLANTED_TABLE.replace("| basics | |", "| basics | `high` |"));
    let found = check(&table, &planted(&[("low/up.rs", "use crate::high::A;")]));
    assert_eq!(found, ["the table allows a cycle: high -> low -> high"]);
}
