//! Checkpoints damaged in any way: one that was saved is read, or none.

#![no_main]

use std::sync::LazyLock;

use corten_tail::testing;
use libfuzzer_sys::fuzz_target;

static DIRECTORY: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a directory"));

fuzz_target!(|bytes: &[u8]| testing::check_recovery(DIRECTORY.path(), bytes));
