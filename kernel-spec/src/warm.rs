//! The `warm` command.

use crate::build_cache::BuildCache;
use crate::cell_compiler::CACHE_CELLS_VAR;
use crate::kernel_dir::{self, KernelDir};
use crate::toolchain;
use anyhow::Result;
use std::path::Path;

/// Compiles the template: everything that a notebook needs before its first cell.
///
/// # Safety
/// No other thread may read or write the environment during the call.
pub unsafe fn warm(home: &Path) -> Result<()> {
    let cache = BuildCache::new(home);
    metamers_lab::ensure_rust_src(toolchain::real_tool)?;
    cache.prepare()?;
    // SAFETY: the caller guarantees that no other thread uses the environment; none has been started here.
    unsafe {
        kernel_dir::set_environment(&cache.next_template());
        std::env::set_var(CACHE_CELLS_VAR, "1");
    }
    cache.build_template(|path| {
        let kernel_dir = KernelDir::new(home, path);
        kernel_dir.build_shared_libraries()?;
        let (mut context, outputs) = kernel_dir.start_evcxr()?;
        // Both, because evcxr waits for a host that does not read.
        std::thread::spawn(move || outputs.stdout.iter().for_each(drop));
        std::thread::spawn(move || outputs.stderr.iter().for_each(drop));
        let result = kernel_dir.load_prelude(&mut context);
        result.map_err(|report| anyhow::anyhow!("{}\n{}", report.value, report.traceback.join("\n")))
    })
}
