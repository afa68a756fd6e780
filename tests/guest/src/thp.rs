// SPDX-License-Identifier: GPL-2.0

//! What the system is told about transparent huge pages.

use std::fs;

use crate::{Check, Fail};

const THP: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// The system's setting, put back when the test is over.
#[must_use]
pub struct Setting(String);

impl Setting {
    pub fn change(to: &str) -> Check<Self> {
        let text = fs::read_to_string(THP)?;
        // "always [madvise] never"
        let chosen = text
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
            .ok_or_else(|| Fail(format!("{THP} holds {text:?}")))?;
        let setting = Self(chosen.0.to_string());
        fs::write(THP, to)?;
        Ok(setting)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        // The test has its verdict already.
        let _ = fs::write(THP, &self.0);
    }
}
