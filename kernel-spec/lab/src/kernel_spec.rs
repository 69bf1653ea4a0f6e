//! The kernel spec: what Jupyter reads to offer "Rust (metamers)".

use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use std::path::Path;

const LOGOS: [(&str, &[u8]); 3] = [
    ("logo-32x32.png", include_bytes!("../../logo/logo-32x32.png")),
    ("logo-64x64.png", include_bytes!("../../logo/logo-64x64.png")),
    ("logo-svg.svg", include_bytes!("../../logo/logo-svg.svg")),
];

/// Writes the spec into a folder; whether anything had to be written.
pub fn install(folder: &Path, root: &Path, kernel: &Path) -> Result<bool> {
    let spec = json!({
        "argv": [kernel, "--connection", "{connection_file}"],
        "display_name": "Rust (metamers)",
        "language": "rust",
        "interrupt_mode": "message",
        "env": { "METAMERS_HOME": root },
        "metadata": { "debugger": false },
    });
    let mut text = serde_json::to_string_pretty(&spec)?;
    text.push('\n');
    let files = LOGOS.into_iter().chain([("kernel.json", text.as_bytes())]);
    let mut written = false;
    for (name, content) in files {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|old| old == content) {
            continue;
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        written = true;
    }
    Ok(written)
}
