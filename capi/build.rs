//! The library's name for the loader, and what it needs at run time: libc and the loader at most. A Rust cdylib asks for
//! libgcc_s.so.1; a linker script of that name on the library's own search path puts the static one in its place.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(folder.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n").expect("OUT_DIR can be written to");
    println!("cargo::rustc-cdylib-link-arg=-L{}", folder.display());
    // Changes when a program that was linked against the library could no longer use it.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,liblapwing.so.0");
}
