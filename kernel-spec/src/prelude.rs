//! Code that every kernel loads before the first cell.

use crate::display_hook::display_trait_source;
use std::path::Path;

/// Source of the flush library, which flushes the cells' stdout when it is called, and every 50 ms from then on, so that progress lines
/// appear without a newline. Takes and returns evcxr's variables, as every cell does.
pub const FLUSH_LIBRARY_SOURCE: &str = "
static ONCE: std::sync::Once = std::sync::Once::new();

fn write_out() {
    let _ = std::io::Write::flush(&mut std::io::stdout());
}

#[unsafe(no_mangle)]
pub extern \"C\" fn flush(store: *mut std::ffi::c_void) -> *mut std::ffi::c_void {
    write_out();
    ONCE.call_once(|| {
        let _ = std::thread::Builder::new().name(\"flush\".into()).spawn(|| loop {
            std::thread::sleep(std::time::Duration::from_millis(50));
            write_out();
        });
    });
    store
}
";

/// Makes evcxr support `?` from the first cell on; it would otherwise find out by a compile error and compile twice.
const QUESTION_MARK_SOURCE: &str = "std::fmt::Result::Ok(())?;";

/// A dependency of all cells that none of them uses: it selects the features of `syn` that tokio and other crates with attribute macros need.
/// A `:dep` on one of them would otherwise make cargo compile every crate that has a derive macro again, and the library with it.
const MACRO_DEPENDENCY: &str = ":dep tokio-macros = \"2\"";

/// The prelude cell: adds the library as a dependency and imports its prelude.
#[must_use]
pub fn prelude_source(home: &Path) -> String {
    let path = serde_json::Value::from(home.to_string_lossy().as_ref());
    format!(
        ":dep metamers = {{ path = {path} }}\n{MACRO_DEPENDENCY}\nuse metamers::prelude::*;{}{QUESTION_MARK_SOURCE}",
        display_trait_source()
    )
}
