// SPDX-License-Identifier: GPL-2.0

//! How random tests run.

use std::ops::Range;

use proptest::test_runner::{Config, FileFailurePersistence};

/// Operations in a row where each life is to be long: what goes wrong little by little, or only in a
/// large pool, needs them.
pub(crate) const LONG: Range<usize> = 1000..2000;

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

/// The same for few and [`LONG`] ones: of one that fails, operations are left out more often than
/// proptest would for so few cases, but for a minute at most.
pub(crate) fn long_cases(cases: u32, file: &'static str) -> Config {
    Config {
        max_shrink_iters: 20_000,
        max_shrink_time: 60_000,
        ..self::cases(cases, file)
    }
}
