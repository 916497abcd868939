//! A Rust cdylib asks for libgcc_s.so.1, and a program in a root without it would not start. A linker script of that name
//! on the library's own search path puts the static one in its place.
//!
//! Nor may it ever be unloaded, also where a program has loaded it itself: stdio, forks and the program's end lead here.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(folder.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n").expect("OUT_DIR can be written to");
    // For the library alone: what merely depends on this package links as it always does.
    println!("cargo::rustc-cdylib-link-arg=-L{}", folder.display());
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
