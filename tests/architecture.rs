//! The table of CONTRIBUTING.md, "folder | contents | knows", holds for every `crate::` path in `src/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Relation = BTreeMap<String, BTreeSet<String>>;

/// Modules that put the others together: what a user imports, and the program.
const EXEMPT: [&str; 3] = ["lib", "prelude", "bin"];

/// The rows of the table: a folder or file of `src/`, and what it may use.
fn table(markdown: &str) -> Relation {
    let rows = markdown.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let name =
            cells.first()?.strip_prefix('`')?.strip_suffix("/`").or(cells[0].strip_prefix('`')?.strip_suffix(".rs`"));
        (cells.len() == 3).then_some((name?, cells[2]))
    });
    let names = |cell: &str| -> BTreeSet<String> {
        let names = cell.split(',').map(|name| name.trim().trim_matches('`')).filter(|name| *name != "nothing");
        names.map(str::to_string).collect()
    };
    rows.map(|(folder, knows)| (folder.to_string(), names(knows))).collect()
}

/// A source without comments, string literals and its test module, which may use anything.
fn code(source: &str) -> String {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n").split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// The modules that a source names after `crate::`, alone or in braces.
fn references(source: &str) -> BTreeSet<String> {
    let source = code(source);
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for path in source.split("crate::").skip(1) {
        let Some(group) = path.strip_prefix('{') else {
            found.insert(name(path));
            continue;
        };
        let mut depth = 0;
        let mut starts = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts = true,
                c if starts && (c.is_alphanumeric() || c == '_') => {
                    found.insert(name(&group[at..]));
                    starts = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// All faults of sources, given as path below `src/` and text, against the table.
fn faults(sources: &[(String, String)], allowed: &Relation) -> Vec<String> {
    let module = |path: &str| path.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_string();
    let modules: BTreeSet<String> = sources.iter().map(|(path, _)| module(path)).collect();
    let mut used = Relation::new();
    let mut faults = vec![];
    for (path, source) in sources {
        let from = module(path);
        if EXEMPT.contains(&from.as_str()) {
            continue;
        }
        for to in references(source) {
            if to == from || !modules.contains(&to) {
                continue;
            }
            if !allowed.get(&from).is_some_and(|knows| knows.contains(&to)) {
                faults.push(format!("src/{path} uses crate::{to}, which the row of {from} does not allow"));
            }
            used.entry(from.clone()).or_default().insert(to);
        }
    }
    let rows: BTreeSet<String> = allowed.keys().cloned().collect();
    let expected: BTreeSet<String> = modules.into_iter().filter(|m| !EXEMPT.contains(&m.as_str())).collect();
    faults.extend(expected.difference(&rows).map(|m| format!("{m} has no row in CONTRIBUTING.md")));
    faults
        .extend(rows.difference(&expected).map(|m| format!("CONTRIBUTING.md has a row for {m}, which does not exist")));
    for (folder, knows) in allowed {
        for unused in knows.iter().filter(|to| !used.get(folder).is_some_and(|used| used.contains(*to))) {
            faults.push(format!("the row of {folder} allows {unused}, which it does not use"));
        }
    }
    faults.extend(circle(allowed).map(|names| format!("the table has a circle: {}", names.join(" -> "))));
    faults
}

/// A circle of the relation, if there is one: what is left when modules that know nothing more are taken away.
fn circle(allowed: &Relation) -> Option<Vec<String>> {
    let mut left = allowed.clone();
    while let Some(leaf) = left.iter().find(|(_, knows)| !knows.iter().any(|to| left.contains_key(to))) {
        let leaf = leaf.0.clone();
        left.remove(&leaf);
    }
    let mut path = vec![left.keys().next()?.clone()];
    loop {
        let next = left[path.last()?].iter().find(|to| left.contains_key(*to))?.clone();
        if let Some(at) = path.iter().position(|name| *name == next) {
            return Some([&path[at..], &[next]].concat());
        }
        path.push(next);
    }
}

fn sources(folder: &Path, below: &str) -> Vec<(String, String)> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(sources(&entry.path(), &format!("{name}/")));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push((name, std::fs::read_to_string(entry.path()).unwrap()));
        }
    }
    found
}

#[test]
fn modules_use_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let allowed = table(&std::fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap());
    let faults = faults(&sources(&root.join("src"), ""), &allowed);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

const PLANTED: &str = "| folder | contents | knows |\n| --- | --- | --- |\n| `eye/` | sees | `light` |\n| `light/` | shines | nothing |\n";

fn planted(eye: &str, light: &str, table_text: &str) -> Vec<String> {
    let sources = [("eye/mod.rs".to_string(), eye.to_string()), ("light/lamp.rs".into(), light.into())];
    faults(&sources, &table(table_text))
}

#[test]
fn a_planted_violation_is_found() {
    assert_eq!(planted("use crate::light::Lamp;", "use crate::Result;", PLANTED), Vec::<String>::new());
    let violation = "src/light/lamp.rs uses crate::eye, which the row of light does not allow";
    for light in ["use crate::eye::Eye;", "use crate::{Result, eye::{Eye, Lens}};", "fn f() { crate::eye::look() }"] {
        assert_eq!(planted("use crate::light::Lamp;", light, PLANTED), [violation], "{light}");
    }
    let quiet =
        "// use crate::eye::Eye;\nconst S: &str = \"crate::eye\";\n#[cfg(test)]\nmod tests { use crate::eye::Eye; }";
    assert_eq!(planted("use crate::light::Lamp;", quiet, PLANTED), Vec::<String>::new());
}

#[test]
fn a_table_that_is_not_true_is_found() {
    let eye = "use crate::light::Lamp;";
    assert_eq!(planted("", "", PLANTED), ["the row of eye allows light, which it does not use"]);
    let less = PLANTED.replace("| `light/` | shines | nothing |\n", "");
    assert_eq!(planted(eye, "", &less), ["light has no row in CONTRIBUTING.md"]);
    let more = format!("{PLANTED}| `ear/` | hears | nothing |\n");
    assert_eq!(planted(eye, "", &more), ["CONTRIBUTING.md has a row for ear, which does not exist"]);
    let circular = PLANTED.replace("nothing", "`eye`");
    assert_eq!(planted(eye, "use crate::eye::Eye;", &circular), ["the table has a circle: eye -> light -> eye"]);
}
