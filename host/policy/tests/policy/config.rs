// SPDX-License-Identifier: GPL-2.0

//! How random tests run.

use proptest::test_runner::{Config, FileFailurePersistence};

/// So many cases. A failure once found is kept beside the test (`*.regressions`, to be committed)
/// and tried first from then on.
pub(crate) fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    }
}
