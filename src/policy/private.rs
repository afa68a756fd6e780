// SPDX-License-Identifier: GPL-2.0

//! What a fault in a private mapping gets.
//!
//! Mirrors `hugetlb_no_page` and `hugetlb_wp` (mm/hugetlb.c). The shell looks at the page, under the
//! fault lock of its index, and does what [`View::decide`] says.

/// A private mapping's own page at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// It has none.
    Absent,
    /// Nobody else has it.
    Exclusive,
    /// Mappings of other tasks have it, too, since a fork; or had it, and pinned it then.
    Shared,
}

/// What a fault finds.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The mapping's own page.
    pub own: Own,
    /// Whether the file has a page there.
    pub in_file: bool,
    /// Whether the index is inside the file's size.
    pub in_size: bool,
    /// Whether the mapping lost a page to the owner of its reservations.
    pub robbed: bool,
    /// Whether the mapping was made with reservations, by the task that still has it.
    pub owner: bool,
}

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Action {
    /// Map the mapping's own page.
    MapOwn,
    /// Map the file's page, not to be written to.
    MapFile,
    /// Give the mapping a page of zeros, on its reservation if it has one.
    Fresh,
    /// Give the mapping a copy of the file's page, on its reservation if it has one.
    CopyFile,
    /// Give the mapping a copy of the page that it shares. Not on its reservation: that went into
    /// the page.
    CopyShared {
        /// Whether, should there be no page to be had, the others lose theirs. Otherwise the fault
        /// fails.
        may_rob: bool,
    },
    /// Fail.
    Refuse,
}

impl View {
    /// Decides. `wants_own`: the mapping must have the page for itself, as it will be written to.
    pub fn decide(&self, wants_own: bool) -> Action {
        match self.own {
            Own::Exclusive => Action::MapOwn,
            Own::Shared if !wants_own => Action::MapOwn,
            Own::Shared => Action::CopyShared {
                may_rob: self.owner,
            },
            Own::Absent if self.robbed => Action::Refuse,
            Own::Absent if self.in_file && wants_own => Action::CopyFile,
            Own::Absent if self.in_file => Action::MapFile,
            Own::Absent if self.in_size => Action::Fresh,
            Own::Absent => Action::Refuse,
        }
    }
}
