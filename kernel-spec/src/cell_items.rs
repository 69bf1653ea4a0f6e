//! Items in cells: a `main` alone is called, and an `impl` block that is run again replaces the earlier one.
//!
//! evcxr replaces an item by its name, and adds an `impl` block to the item with a name before it. A block that comes first in its cell
//! has none and would collide with itself when the cell is run again: it gets a type alias of the kernel as that item.

use ra_ap_syntax::SyntaxNode;
use ra_ap_syntax::ast::{self, AstNode, HasAttrs, HasGenericParams, HasName};
use std::collections::BTreeSet;

/// Start of the names of the type aliases.
pub const IMPL_ALIAS: &str = "MetamersImpl";

/// The call of `main`, if the cell consists of items and one of them is a `main` without parameters.
#[must_use]
pub fn main_call(statements: &SyntaxNode) -> Option<&'static str> {
    let mut main = None;
    for child in statements.children() {
        if ast::Attr::can_cast(child.kind()) {
            continue;
        }
        if let ast::Item::Fn(function) = ast::Item::cast(child)?
            && function.name().is_some_and(|name| name.text() == "main")
        {
            main = Some(function);
        }
    }
    let main = main?;
    let is_wrapped = main.attrs().any(|attr| attr.path().is_some_and(|path| path.to_string().ends_with("main")));
    let has_parameters = main.param_list().is_some_and(|list| list.params().next().is_some());
    if has_parameters || main.generic_param_list().is_some() || (main.async_token().is_some() && !is_wrapped) {
        return None;
    }
    let result = main.ret_type().and_then(|result| result.ty()).map(|result| result.to_string()).unwrap_or_default();
    let name = result.split('<').next().unwrap_or_default();
    Some(if name.rsplit("::").next() == Some("Result") { "\nmain()?;" } else { "\nmain();" })
}

/// An `impl` block that comes first in its cell.
#[derive(Debug, Clone, PartialEq)]
struct ImplBlock {
    /// Everything before the braces, without whitespace.
    header: String,
    is_of_trait: bool,
    /// Names of the functions, constants and types in the block.
    members: BTreeSet<String>,
    /// Number of the alias to which evcxr adds the block.
    alias: usize,
}

impl ImplBlock {
    fn new(block: &ast::Impl, alias: usize) -> ImplBlock {
        let text = block.syntax().text().to_string();
        let members = block.assoc_item_list();
        let names = members.iter().flat_map(|list| list.assoc_items()).filter_map(|member| match member {
            ast::AssocItem::Const(member) => member.name(),
            ast::AssocItem::Fn(member) => member.name(),
            ast::AssocItem::TypeAlias(member) => member.name(),
            ast::AssocItem::MacroCall(_) => None,
        });
        let start = block.impl_token().map_or(0.into(), |token| token.text_range().start());
        let end = members.as_ref().map_or(block.syntax().text_range().end(), |list| list.syntax().text_range().start());
        let origin = block.syntax().text_range().start();
        let header = &text[usize::from(start.max(origin) - origin)..usize::from(end - origin)];
        ImplBlock {
            header: header.split_whitespace().collect(),
            is_of_trait: block.trait_().is_some(),
            members: names.map(|name| name.to_string()).collect(),
            alias,
        }
    }

    /// True if the two blocks cannot both exist.
    fn collides_with(&self, other: &ImplBlock) -> bool {
        self.header == other.header && (self.is_of_trait || !self.members.is_disjoint(&other.members))
    }
}

/// The `impl` blocks of earlier cells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImplBlocks {
    blocks: Vec<ImplBlock>,
    aliases: usize,
}

impl ImplBlocks {
    /// Adds the blocks of a cell, which replace those that they collide with. Returns the text to be inserted in front of each, with its
    /// position.
    pub fn add(&mut self, statements: &SyntaxNode) -> Vec<(usize, String)> {
        let mut insertions = Vec::new();
        let mut earlier = std::mem::take(&mut self.blocks);
        for item in statements.children().map_while(ast::Item::cast) {
            let block = match item {
                ast::Item::Impl(block) => block,
                ast::Item::Use(_) | ast::Item::ExternCrate(_) => continue,
                _ => break,
            };
            let mut new = ImplBlock::new(&block, self.aliases);
            let (replaced, kept): (Vec<_>, Vec<_>) = earlier.into_iter().partition(|other| new.collides_with(other));
            earlier = kept;
            match replaced.first() {
                Some(first) => new.alias = first.alias,
                None => self.aliases += 1,
            }
            // An alias without a block after it removes the block that it had.
            let aliases = replaced.iter().skip(1).map(|other| other.alias).chain([new.alias]);
            let text = aliases.map(|alias| format!("type {IMPL_ALIAS}{alias} = (); ")).collect();
            insertions.push((usize::from(block.syntax().text_range().start()), text));
            self.blocks.push(new);
        }
        self.blocks.append(&mut earlier);
        insertions
    }
}

/// A note on a compile error about `impl` blocks that collide all the same, by the error's code.
#[must_use]
pub fn collision_note(code: Option<&str>) -> Option<&'static str> {
    matches!(code, Some("E0592" | "E0119")).then_some(
        "note: an earlier cell has an `impl` block with the same functions, next to the item that it belongs to. Put the type and its \
         `impl` blocks into one cell, and run that: it replaces the earlier ones.",
    )
}
