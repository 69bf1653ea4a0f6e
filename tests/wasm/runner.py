"""Runs a WASI program of Rust's test harness in wasmtime, with the repository as its root folder: the runner of cargo.

Threads are not supported, so that the harness runs one test after another.
"""

import os
import sys
from pathlib import Path

from wasmtime import Config, Engine, ExitTrap, Linker, Module, Store, Trap, WasiConfig

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    config = Config()
    config.wasm_relaxed_simd = True
    engine = Engine(config)
    program = Path(sys.argv[1])
    wasi = WasiConfig()
    wasi.argv = [program.name, *sys.argv[2:]]
    wasi.env = [(name, value) for name, value in os.environ.items() if name.startswith(("METAMERS_", "RUST_"))]
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    wasi.preopen_dir(str(ROOT), str(ROOT))
    wasi.preopen_dir(str(ROOT), ".")
    linker = Linker(engine)
    linker.define_wasi()
    store = Store(engine)
    store.set_wasi(wasi)
    instance = linker.instantiate(store, Module.from_file(engine, str(program)))
    try:
        instance.exports(store)["_start"](store)
    except ExitTrap as trap:
        return trap.code
    except Trap as trap:
        # A failed assertion ends the program, because panics do not unwind here.
        print(f"\nerror: the program ended at the test above: {trap.message}", file=sys.stderr)
        return 101
    return 0


if __name__ == "__main__":
    sys.exit(main())
