//! Has the linker put the functions that run beside each other; see `order.txt` and `scripts/order`.
//!
//! The kernel maps a program's code in pieces of 64 KiB. Where the functions of a scrape lie scattered over 40 MiB, ninety such
//! pieces are resident for half a megabyte of code.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=order.txt");
    println!("cargo::rerun-if-changed=build.rs");
    let Some(order) =
        env::var_os("CARGO_MANIFEST_DIR").map(|at| PathBuf::from(at).join("order.txt"))
    else {
        return;
    };
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let linux = is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64");
    if linux && is("PROFILE", "release") && links_with_lld() && fs::metadata(&order).is_ok() {
        println!(
            "cargo::rustc-link-arg-bins=-Wl,--symbol-ordering-file={},--no-warn-symbol-ordering",
            order.display()
        );
    }
}

/// Whether the linker is the one that comes with the compiler. Others do not know the option.
fn links_with_lld() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let chosen = ["linker", "fuse-ld", "link-self-contained"];
    if env::var_os("RUSTC_LINKER").is_some() || chosen.iter().any(|name| flags.contains(name)) {
        return false;
    }
    let Some(rustc) = env::var_os("RUSTC") else {
        return false;
    };
    let sysroot = Command::new(rustc).args(["--print", "sysroot"]).output();
    let Ok(sysroot) = sysroot.map(|output| output.stdout) else {
        return false;
    };
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot).trim());
    let lld = "lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld";
    fs::metadata(sysroot.join(lld)).is_ok()
}
