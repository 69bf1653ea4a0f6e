# Sourced with `bare` set to a new folder: makes a bare machine there, and lets the shell work on it. HOME and CARGO_HOME are empty, and the
# toolchain is a copy of the active one without rust-src. `bare_path` is a PATH with what the README asks for: Rust, a C compiler that
# links, and Python.
mkdir -p "$bare"/{home,cargo,bin}
if command -v rustup > /dev/null; then
    sysroot=$(rustc --print sysroot)
    toolchain=$(basename "$sysroot")
    mkdir -p "$bare/rustup/toolchains"
    # Hard links where the file system has them; rustup replaces files, but it writes to these lists in place.
    cp -al "$sysroot" "$bare/rustup/toolchains/" 2> /dev/null || cp -a "$sysroot" "$bare/rustup/toolchains/"
    for list in components multirust-config.toml; do
        file="$bare/rustup/toolchains/$toolchain/lib/rustlib/$list"
        cp "$file" "$file.copy" && mv "$file.copy" "$file"
    done
    printf 'version = "12"\ndefault_toolchain = "%s"\nprofile = "minimal"\n' "$toolchain" > "$bare/rustup/settings.toml"
    export RUSTUP_HOME="$bare/rustup"
    unset RUSTUP_TOOLCHAIN RUST_SRC_PATH
    rustup component remove rust-src 2> /dev/null || true
    if [ -e "$(rustc --print sysroot)/lib/rustlib/src/rust/library" ]; then
        echo "the copy of the toolchain still has rust-src" >&2
        exit 1
    fi
else
    echo "note: Rust does not come from rustup here, so that rust-src is added is not tested"
fi
export HOME="$bare/home" CARGO_HOME="$bare/cargo"
# What the README names, and what a system without build tools has in any case.
for program in cargo rustc rustdoc rustup cc gcc as ld ar python3 \
    sh bash env cat cp mv rm mkdir ln ls df sed grep head tail sort tr uname ps kill true; do
    found=$(command -v "$program") || continue
    # Not a wrapper that finds Python by the other PATH.
    [ "$program" = python3 ] && found=$(python3 -c 'import sys; print(sys.executable)')
    ln -sf "$(realpath --no-symlinks "$found")" "$bare/bin/$program"
done
bare_path="$bare/bin"
