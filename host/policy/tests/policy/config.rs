// SPDX-License-Identifier: GPL-2.0

//! How random tests run.

use proptest::test_runner::{Config, FileFailurePersistence};

/// So many cases, for a test in this `file!()`. A failure once found is kept beside it
/// (`*.regressions`, to be committed) and tried first from then on.
pub(crate) fn cases(cases: u32, file: &'static str) -> Config {
    Config {
        cases,
        source_file: Some(file),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    }
}
