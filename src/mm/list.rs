// SPDX-License-Identifier: GPL-2.0

//! A list of pages, linked through the pages themselves (`folio->lru`).
//!
//! Unlike the kernel's `list_head` it has no head that others point to, so it can be moved, and no
//! insertion or removal allocates. (The likes of it belong beside rust/kernel/list.rs.)

use core::{marker::PhantomData, ptr::NonNull};

use kernel::bindings;

use super::page::Listed;

type Folio = NonNull<bindings::folio>;

/// A list that owns its pages; dropping it drops them.
///
/// # Invariants
///
/// `ends` is none for an empty list, else its first and last page. Each page came from
/// [`Listed::into_raw`]; its `lru` holds the neighbours, null at the ends.
pub(crate) struct PageList<P: Listed> {
    ends: Option<(Folio, Folio)>,
    _pages: PhantomData<P>,
}

// SAFETY: A list is as good as its pages.
unsafe impl<P: Listed + Send> Send for PageList<P> {}

impl<P: Listed> PageList<P> {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            ends: None,
            _pages: PhantomData,
        }
    }

    /// Puts `page` before all others.
    pub(crate) fn push_front(&mut self, page: P) {
        let folio = page.into_raw();
        set_previous(folio, None);
        let last = match self.ends {
            Some((first, last)) => {
                link_both(folio, first);
                last
            }
            None => {
                set_next(folio, None);
                folio
            }
        };
        self.ends = Some((folio, last));
    }

    /// Puts `page` after all others.
    pub(crate) fn push_back(&mut self, page: P) {
        let folio = page.into_raw();
        set_next(folio, None);
        let first = match self.ends {
            Some((first, last)) => {
                link_both(last, folio);
                first
            }
            None => {
                set_previous(folio, None);
                folio
            }
        };
        self.ends = Some((first, folio));
    }

    /// Takes the first page.
    pub(crate) fn pop_front(&mut self) -> Option<P> {
        let (first, last) = self.ends?;
        self.ends = next(first).map(|second| {
            set_previous(second, None);
            (second, last)
        });
        // SAFETY: By the type invariant; it is off the list now.
        Some(unsafe { P::from_raw(first) })
    }

    /// Takes the last page.
    pub(crate) fn pop_back(&mut self) -> Option<P> {
        let (first, last) = self.ends?;
        self.ends = previous(last).map(|second_last| {
            set_next(second_last, None);
            (first, second_last)
        });
        // SAFETY: By the type invariant; it is off the list now.
        Some(unsafe { P::from_raw(last) })
    }

    /// Takes a page out, wherever it is in the list.
    ///
    /// # Safety
    ///
    /// `folio` must be in this list.
    pub(super) unsafe fn remove(&mut self, folio: Folio) -> P {
        match (previous(folio), next(folio)) {
            (Some(previous), Some(next)) => link_both(previous, next),
            (None, Some(next)) => {
                set_previous(next, None);
                self.ends = self.ends.map(|(_, last)| (next, last));
            }
            (Some(previous), None) => {
                set_next(previous, None);
                self.ends = self.ends.map(|(first, _)| (first, previous));
            }
            (None, None) => self.ends = None,
        }
        // SAFETY: By the caller's promise and the type invariant; it is off the list now.
        unsafe { P::from_raw(folio) }
    }

    /// Whether `folio` is in the list. Looks at all of it.
    pub(super) fn contains(&self, folio: Folio) -> bool {
        let mut page = self.first();
        while let Some(here) = page {
            if here == folio {
                return true;
            }
            page = next(here);
        }
        false
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// The first page, which stays where it is.
    pub(super) fn first(&self) -> Option<Folio> {
        self.ends.map(|(first, _)| first)
    }

    /// The last page, which stays where it is.
    pub(super) fn last(&self) -> Option<Folio> {
        self.ends.map(|(_, last)| last)
    }

    /// Puts all pages of `other` before all others.
    pub(crate) fn prepend(&mut self, mut other: Self) {
        other.append(self.take());
        core::mem::swap(self, &mut other);
    }

    /// Puts all pages of `other` after all others.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.ends = match (self.ends, other.ends.take()) {
            (Some((first, last)), Some((next, end))) => {
                link_both(last, next);
                Some((first, end))
            }
            (ends, None) => ends,
            (None, ends) => ends,
        };
    }

    /// Takes all pages, leaving an empty list.
    pub(crate) fn take(&mut self) -> Self {
        core::mem::replace(self, Self::new())
    }
}

impl<P: Listed> Drop for PageList<P> {
    fn drop(&mut self) {
        while self.pop_front().is_some() {}
    }
}

fn lru(folio: Folio) -> *mut bindings::list_head {
    // SAFETY: Only the field's address is made; folios in a list are valid.
    unsafe {
        &raw mut (*folio.as_ptr())
            .__bindgen_anon_1
            .__bindgen_anon_1
            .__bindgen_anon_1
            .lru
    }
}

fn next(folio: Folio) -> Option<Folio> {
    // SAFETY: The page is ours while it is in the list, and so is its `lru`.
    NonNull::new(unsafe { (*lru(folio)).next }.cast())
}

fn previous(folio: Folio) -> Option<Folio> {
    // SAFETY: As in `next`.
    NonNull::new(unsafe { (*lru(folio)).prev }.cast())
}

fn set_next(folio: Folio, to: Option<Folio>) {
    let to = to.map_or(core::ptr::null_mut(), |to| to.as_ptr().cast());
    // SAFETY: As in `next`. Bit 0 of this word is how a tail page is told from a head; it stays
    // clear, as folios are aligned.
    unsafe { (*lru(folio)).next = to };
}

fn set_previous(folio: Folio, to: Option<Folio>) {
    let to = to.map_or(core::ptr::null_mut(), |to| to.as_ptr().cast());
    // SAFETY: As in `next`.
    unsafe { (*lru(folio)).prev = to };
}

fn link_both(previous: Folio, folio: Folio) {
    set_next(previous, Some(folio));
    set_previous(folio, Some(previous));
}
