//! Statics that keep their value from cell to cell.
//!
//! evcxr compiles the items of earlier cells again in every cell, and each of these libraries would have statics of its own. So the cell
//! that defines a static exports it under a symbol of its own, and in later cells it is a static of that library. A cell that defines
//! the item again starts with a new one.

use crate::display_hook::parse_statements;
use crate::nesting::with_stack_for;
use crate::platform;
use crate::toolchain::CONTROL_DIR;
use ra_ap_syntax::ast::{self, AstNode, HasAttrs, HasModuleItem, HasName, HasVisibility};
use ra_ap_syntax::{Edition, SourceFile};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// File with the statics of the cells that have run.
const TABLE: &str = "statics.json";
/// File with that table as it will be when the cell that is being compiled has run.
const NEXT_TABLE: &str = "statics-next.json";
/// File with the names of the items that the current cell defines.
const NEW_ITEMS: &str = "new-items.json";
/// File with the libraries that the current cell is linked with.
const LIBRARIES: &str = "statics-libraries.json";
/// File in the control directory with the path of the library of the cell that was loaded last.
pub const LOADED_LIBRARY: &str = "loaded-library";
/// Start of the name of the function that evcxr makes of a cell.
const CELL_FUNCTION: &str = "run_user_code_";

/// A static that a cell exports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SharedStatic {
    symbol: String,
    /// The library of the cell; empty until it has been loaded.
    library: PathBuf,
}

/// The exported statics by the path of the item.
type Table = BTreeMap<String, SharedStatic>;

/// Prepares the compilation of a cell.
pub fn begin_cell(control_dir: &Path, cell: &str) {
    let _ = std::fs::remove_file(control_dir.join(NEXT_TABLE));
    let statements = Some(cell).filter(|cell| mentions_static(cell)).and_then(parse_statements);
    let items = statements.iter().flat_map(|(_, statements)| statements.children().filter_map(ast::Item::cast));
    let names: BTreeSet<String> = items.filter_map(|item| item_name(&item)).collect();
    write(&control_dir.join(NEW_ITEMS), &names);
}

/// Keeps the statics of a cell whose code has run, or forgets all of them with the process that had them.
pub fn end_cell(control_dir: &Path, has_run: bool, is_process_ended: bool) {
    let (table, next) = (control_dir.join(TABLE), control_dir.join(NEXT_TABLE));
    if is_process_ended {
        let _ = std::fs::remove_file(&table);
    } else if has_run
        && let Some(mut statics) = read::<Table>(&next)
        && let Ok(library) = std::fs::read_to_string(control_dir.join(LOADED_LIBRARY))
    {
        for shared in statics.values_mut().filter(|shared| shared.library.as_os_str().is_empty()) {
            shared.library = library.clone().into();
        }
        write(&table, &statics);
    }
    let _ = std::fs::remove_file(next);
}

/// Rewrites the source of a cell that is about to be compiled.
pub fn rewrite_source(build_dir: &Path) {
    let (control_dir, file) = (build_dir.join(CONTROL_DIR), build_dir.join("src").join("lib.rs"));
    let _ = std::fs::remove_file(control_dir.join(LIBRARIES));
    let Some(source) = std::fs::read_to_string(&file).ok().filter(|source| mentions_static(source)) else { return };
    let table = read(&control_dir.join(TABLE)).unwrap_or_default();
    let new_items = read(&control_dir.join(NEW_ITEMS)).unwrap_or_default();
    let Some((rewritten, next)) = with_stack_for(&source, || rewrite(&source, &table, &new_items)) else { return };
    if std::fs::write(&file, rewritten).is_ok() {
        let used = next.values().map(|shared| &shared.library).filter(|library| !library.as_os_str().is_empty());
        write(&control_dir.join(LIBRARIES), &used.collect::<BTreeSet<_>>());
        write(&control_dir.join(NEXT_TABLE), &next);
    }
}

/// The arguments for rustc that link a cell with the libraries whose statics it uses, and name its library if later cells may use its own.
#[must_use]
pub fn rustc_arguments(build_dir: &Path) -> Vec<String> {
    let control_dir = build_dir.join(CONTROL_DIR);
    let libraries: BTreeSet<PathBuf> = read(&control_dir.join(LIBRARIES)).unwrap_or_default();
    let mut arguments: Vec<String> =
        libraries.iter().filter_map(|library| platform::library_argument(library)).collect();
    // The first static that the cell exports, whose symbol no other cell has.
    let next: Table = read(&control_dir.join(NEXT_TABLE)).unwrap_or_default();
    if let Some(exported) = next.values().find(|shared| shared.library.as_os_str().is_empty()) {
        arguments.extend(platform::install_name_arguments(&control_dir.join(&exported.symbol)));
    }
    arguments
}

/// True if the text may define a static.
fn mentions_static(text: &str) -> bool {
    text.match_indices("static ").any(|(at, _)| !text[..at].ends_with(['\'', '_']))
}

/// Rewrites the statics of a source; returns it with the statics that exist when it has run.
fn rewrite(source: &str, table: &Table, new_items: &BTreeSet<String>) -> (String, Table) {
    let tree = SourceFile::parse(source, Edition::Edition2024).tree();
    let build = source
        .rsplit_once(CELL_FUNCTION)
        .map_or("0", |(_, rest)| rest.split(|character: char| !character.is_ascii_digit()).next().unwrap_or_default());
    let mut next = table.clone();
    let mut seen = BTreeSet::new();
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for item in tree.items() {
        let Some(root) = item_name(&item).filter(|name| !name.starts_with(CELL_FUNCTION)) else { continue };
        for definition in item.syntax().descendants().filter_map(ast::Static::cast) {
            let (Some(path), Some(ty)) = (path_of(&definition), definition.ty()) else { continue };
            let is_nested = definition.syntax().ancestors().skip(1).any(|outer| ast::Static::can_cast(outer.kind()));
            // A static of another language has no value.
            if is_nested || definition.body().is_none() {
                continue;
            }
            // Two blocks of a function may have statics of the same name.
            let path = (0..).map(|number| format!("{path} {number}")).find(|path| seen.insert(path.clone()));
            let path = path.unwrap_or_default();
            let range = definition.syntax().text_range();
            let range = usize::from(range.start())..usize::from(range.end());
            match table.get(&path).filter(|_| !new_items.contains(&root)) {
                Some(shared) => {
                    let text = reference(&definition, &ty, shared);
                    let lines = |text: &str| text.matches('\n').count();
                    let missing = lines(&source[range.clone()]).saturating_sub(lines(&text));
                    edits.push((range, text + &"\n".repeat(missing)));
                }
                None => {
                    let symbol = format!("metamers_static_{build}_{}", edits.len());
                    let at = attribute_position(source, range.start);
                    edits.push((at..at, format!(" #[unsafe(export_name = \"{symbol}\")] ")));
                    next.insert(path, SharedStatic { symbol, library: PathBuf::new() });
                }
            }
        }
    }
    next.retain(|path, _| seen.contains(path));
    let mut rewritten = source.to_owned();
    edits.sort_by_key(|(range, _)| range.start);
    for (range, text) in edits.into_iter().rev() {
        rewritten.replace_range(range, &text);
    }
    (rewritten, next)
}

/// The position for an attribute of the item at `start`: the end of the line before, so that columns in messages stay, if that is not a
/// comment.
fn attribute_position(source: &str, start: usize) -> usize {
    let Some((before, indent)) = source[..start].rsplit_once('\n') else { return start };
    let is_comment = before.rsplit('\n').next().is_some_and(|line| line.contains("//"));
    if is_comment || !indent.trim().is_empty() { start } else { before.len() }
}

/// The definition as a static of another library.
fn reference(definition: &ast::Static, ty: &ast::Type, shared: &SharedStatic) -> String {
    let visibility = definition.visibility().map(|visibility| format!("{visibility} ")).unwrap_or_default();
    let attributes: String = definition.attrs().map(|attr| format!("{attr} ")).collect();
    let kind = if definition.mut_token().is_some() { "static mut" } else { "safe static" };
    let name = definition.name().map(|name| name.to_string()).unwrap_or_default();
    let (symbol, library) = (&shared.symbol, platform::library_attribute(&shared.library));
    format!(
        "{library}#[allow(improper_ctypes)] unsafe extern \"C\" {{ {attributes}#[link_name = \"{symbol}\"] {visibility}{kind} {name}: {ty}; }}"
    )
}

/// The names of the items around a static, and its own.
fn path_of(definition: &ast::Static) -> Option<String> {
    let mut names: Vec<String> = definition
        .syntax()
        .ancestors()
        .filter_map(ast::Item::cast)
        .map(|item| item_name(&item))
        .collect::<Option<_>>()?;
    names.reverse();
    Some(names.join("::"))
}

/// The name of an item, for an `impl` block its header.
fn item_name(item: &ast::Item) -> Option<String> {
    match item {
        ast::Item::Const(item) => Some(item.name()?.to_string()),
        ast::Item::Fn(item) => Some(item.name()?.to_string()),
        ast::Item::Impl(item) => {
            let text = item.syntax().text().to_string();
            Some(text.split('{').next().unwrap_or_default().split_whitespace().collect())
        }
        ast::Item::Module(item) => Some(item.name()?.to_string()),
        ast::Item::Static(item) => Some(item.name()?.to_string()),
        ast::Item::Trait(item) => Some(item.name()?.to_string()),
        _ => None,
    }
}

fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()
}

/// Writes a file. Without it, a static starts again in the next cell.
fn write(file: &Path, value: &impl Serialize) {
    let text = serde_json::to_string(value).unwrap_or_default();
    let _ = std::fs::write(file, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: &str = "\nstatic A: AtomicU32 =\n    AtomicU32::new(1);\nfn next() { pub static B: u8 = 2; }\n";

    fn source(build: u32) -> String {
        format!("{CELL}pub extern \"C\" fn run_user_code_{build}() {{ static OWN: u8 = 1; }}")
    }

    #[test]
    fn a_static_is_exported_once_and_then_referred_to() {
        let (first, mut table) = rewrite(&source(3), &Table::new(), &["A".into(), "next".into()].into());
        assert!(
            first.starts_with(" #[unsafe(export_name = \"metamers_static_3_0\")] \nstatic A: AtomicU32 =\n"),
            "{first}"
        );
        assert!(
            first.contains("{  #[unsafe(export_name = \"metamers_static_3_1\")] pub static B: u8 = 2; }"),
            "{first}"
        );
        assert!(first.contains("{ static OWN: u8 = 1; }"), "{first}");
        for shared in table.values_mut() {
            shared.library = "libcode_3.so".into();
        }
        let (second, next) = rewrite(&source(4), &table, &BTreeSet::new());
        assert_eq!(next, table);
        assert!(
            second.contains("{ #[link_name = \"metamers_static_3_0\"] safe static A: AtomicU32; }\n\nfn"),
            "{second}"
        );
        assert!(second.contains("pub safe static B: u8; } }"), "{second}");
        let (third, next) = rewrite(&source(5), &table, &["next".into()].into());
        assert!(third.contains("safe static A") && third.contains("metamers_static_5_1\")] pub static B"), "{third}");
        assert_eq!(next["next::B 0"].library, PathBuf::new());
        assert_eq!(third.lines().count(), source(5).lines().count());
    }

    #[test]
    fn lifetimes_are_not_statics() {
        assert!(!mentions_static("fn f() -> &'static str { \"\" }"));
        assert!(mentions_static("pub static mut X: u8 = 1;"));
    }
}
