// SPDX-License-Identifier: GPL-2.0

//! A stand-in for private mappings (`src/private.rs`) and for what a huge file does with them
//! (`src/copy_on_write.rs`, `src/file_size.rs`).

use std::cell::Cell;
use std::collections::btree_map::Entry;
use std::collections::BTreeMap;
use std::rc::Rc;

use rust_hugetlb::policy::coverage::{Coverage, Release};
use rust_hugetlb::policy::pool::Claim;
use rust_hugetlb::policy::private::{Action, Own, View};
use rust_hugetlb::policy::range::FileRange;
use rust_hugetlb::policy::regions::Regions;

use crate::file::{make_room, File};
use crate::files::{free, take};
use crate::shell::Shell;
use crate::world::{Hugetlb, World};

/// A page of private mappings: as many have it as there are references to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folio {
    pub(crate) node: usize,
    /// What is in it.
    pub(crate) value: Cell<u32>,
}

impl Folio {
    pub(crate) fn new(node: usize, value: u32) -> Rc<Self> {
        let value = Cell::new(value);
        Rc::new(Self { node, value })
    }
}

/// An access to a page, and what goes wrong meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Touch {
    /// What is written; none: it is read.
    pub(crate) write: Option<u32>,
    pub(crate) nodes: Vec<usize>,
    /// No memory for a larger page map.
    pub(crate) no_map: bool,
    /// No memory for a larger table of promises.
    pub(crate) no_table: bool,
}

/// A private mapping.
pub(crate) struct Private {
    pub(crate) owner: bool,
    pub(crate) robbed: bool,
    pub(crate) pages: BTreeMap<usize, Rc<Folio>>,
    promised: Regions<Vec<FileRange>>,
    coverage: Coverage<Vec<FileRange>>,
}

impl Private {
    pub(crate) fn new(promised: Option<FileRange>) -> Self {
        let owner = promised.is_some();
        let mut regions = Regions::new(Vec::new());
        if let Some(range) = promised {
            assert!(make_room(&mut regions, false));
            assert_eq!(regions.add(range), Ok(range.count()));
        }
        Self {
            owner,
            robbed: false,
            pages: BTreeMap::new(),
            promised: regions,
            coverage: Coverage::new(Vec::new()),
        }
    }

    /// Whether the page at `index` is promised.
    pub(crate) fn is_promised(&self, index: usize) -> bool {
        self.promised.contains(index)
    }

    /// How many pages are promised.
    pub(crate) fn promises(&self) -> usize {
        self.promised.count().get()
    }

    /// Whether the next change of what is promised needs memory.
    pub(crate) fn is_full(&self) -> bool {
        self.promised.ranges().len() == self.promised.room()
    }

    pub(crate) fn claim(&self, index: usize) -> Claim {
        if self.owner && self.is_promised(index) {
            Claim::Reserved
        } else {
            Claim::Unreserved
        }
    }

    /// False: there is no memory, and the page is to go.
    pub(crate) fn commit(&mut self, index: usize, claim: Claim, no_memory: bool) -> bool {
        if claim == Claim::Unreserved {
            return true;
        }
        if !make_room(&mut self.promised, no_memory) {
            return false;
        }
        let used = self.promised.remove(FileRange::only(index));
        assert_eq!(used.expect("room for one more").get(), 1);
        true
    }

    pub(crate) fn promise_again(&mut self, index: usize) {
        assert!(make_room(&mut self.promised, false));
        let new = self.promised.add(FileRange::only(index));
        assert_eq!(new.expect("room for one more").get(), 1);
    }

    pub(crate) fn is_doubled(&self) -> bool {
        self.coverage.is_doubled()
    }

    pub(crate) fn split(&mut self) {
        self.coverage.split();
    }

    pub(crate) fn moved(&mut self, range: FileRange) {
        assert!(make_room(self.coverage.doubled(), false));
        self.coverage.moved(range);
    }

    /// What to give back.
    pub(crate) fn closed(&mut self, range: FileRange) -> Release {
        assert!(make_room(self.coverage.doubled(), false));
        self.coverage.closed(range)
    }

    /// Ends the promises for `range`; how many there were.
    pub(crate) fn end_promises(&mut self, range: FileRange) -> usize {
        assert!(make_room(&mut self.promised, false));
        let ended = self.promised.remove(range);
        ended.expect("room for one more").get()
    }

    pub(crate) fn own(&self, index: usize) -> Own {
        match self.pages.get(&index) {
            None => Own::Absent,
            Some(page) if Rc::strong_count(page) == 1 => Own::Exclusive,
            Some(_) => Own::Shared,
        }
    }
}

/// A huge file with its private mappings.
#[derive(Default)]
pub(crate) struct CowFile {
    pub(crate) file: File,
    /// What is in its pages.
    pub(crate) values: BTreeMap<usize, u32>,
    pub(crate) size: usize,
    /// All private mappings, each by a number of its own.
    pub(crate) relatives: BTreeMap<usize, Private>,
    /// Whether they are gone through from the last on.
    pub(crate) backward: bool,
}

impl CowFile {
    /// The private mapping of that number.
    pub(crate) fn private(&mut self, key: usize) -> &mut Private {
        self.relatives.get_mut(&key).expect("a mapping")
    }

    /// All private mappings, in the order in which something is done to all of them.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut order = Vec::from_iter(self.relatives.keys().copied());
        if self.backward {
            order.reverse();
        }
        order
    }

    /// `HugeFile::map_private`. False: there are too few pages.
    pub(crate) fn map_private(
        &mut self,
        key: usize,
        range: FileRange,
        noreserve: bool,
        nodes: &[usize],
        (pool, world): (&mut Shell, &mut dyn World),
    ) -> bool {
        let promised = (!noreserve).then_some(range);
        self.relatives.insert(key, Private::new(promised));
        let granted = noreserve || pool.reserve(range.count().get(), nodes, world);
        if !granted {
            self.relatives.remove(&key);
        }
        granted
    }

    /// `HugeFile::try_fault` with `HugeFile::add_page`, and the access. None: SIGBUS.
    pub(crate) fn touch_shared(
        &mut self,
        index: usize,
        touch: &Touch,
        (pool, world): (&mut Shell, &mut dyn World),
    ) -> Option<u32> {
        if let Entry::Vacant(page) = self.values.entry(index) {
            if index >= self.size {
                return None;
            }
            let claim = self.file.claim(index);
            let node = take(&touch.nodes, claim, pool, world)?;
            assert_eq!(self.file.commit(index, claim, false), Some(claim));
            self.file.insert(index, node);
            page.insert(0);
        }
        let value = self.values.get_mut(&index)?;
        *value = touch.write.unwrap_or(*value);
        Some(*value)
    }

    /// `HugeFile::view`.
    pub(crate) fn view(&self, key: usize, index: usize) -> View {
        let private = &self.relatives[&key];
        View {
            own: private.own(index),
            in_file: self.file.present().contains_key(&index),
            in_size: index < self.size,
            robbed: private.robbed,
            owner: private.owner,
        }
    }

    /// `HugeFile::try_private_fault`, and the access. None: SIGBUS.
    pub(crate) fn touch_private(
        &mut self,
        key: usize,
        index: usize,
        touch: &Touch,
        (pool, world): (&mut Shell, &mut dyn World),
    ) -> Option<u32> {
        assert!(!self.private(key).is_doubled(), "only mremap doubles");
        match self.view(key, index).decide(touch.write.is_some()) {
            Action::MapOwn => {}
            Action::MapFile => return self.values.get(&index).copied(),
            action @ (Action::Fresh | Action::CopyFile) => {
                let value = match action {
                    Action::Fresh => 0,
                    _ => *self.values.get(&index)?,
                };
                let claim = self.private(key).claim(index);
                let page = Folio::new(take(&touch.nodes, claim, pool, world)?, value);
                if !self.give(key, index, page.clone(), claim, touch) {
                    take_back(page, claim, pool, world);
                    return None;
                }
            }
            Action::CopyShared { may_rob } => {
                match take(&touch.nodes, Claim::Unreserved, pool, world) {
                    Some(node) if touch.no_map => {
                        free(pool, node, world);
                        return None;
                    }
                    Some(node) => self.exchange(key, index, node, pool, world),
                    None if may_rob => self.rob_others(key, index),
                    None => return None,
                }
            }
            Action::Refuse => return None,
        }
        let page = self.private(key).pages.get(&index)?;
        if let Some(value) = touch.write {
            assert_eq!(Rc::strong_count(page), 1, "a page that others see");
            page.value.set(value);
        }
        Some(page.value.get())
    }

    /// `HugeFile::give`. False: there is no memory, and the page is to go.
    pub(crate) fn give(
        &mut self,
        key: usize,
        index: usize,
        page: Rc<Folio>,
        claim: Claim,
        touch: &Touch,
    ) -> bool {
        if touch.no_map {
            return false;
        }
        let private = self.private(key);
        assert_eq!(private.pages.insert(index, page), None);
        let committed = private.commit(index, claim, touch.no_table);
        if !committed {
            private.pages.remove(&index);
        }
        committed
    }

    /// `HugeFile::exchange`.
    pub(crate) fn exchange(
        &mut self,
        key: usize,
        index: usize,
        node: usize,
        pool: &mut Shell,
        world: &mut dyn World,
    ) {
        let pages = &mut self.private(key).pages;
        let value = pages[&index].value.get();
        let old = pages.insert(index, Folio::new(node, value));
        retire(old.expect("a shared page"), pool, world);
    }

    /// `HugeFile::rob_others`.
    pub(crate) fn rob_others(&mut self, key: usize, index: usize) {
        let mine = self.private(key).pages[&index].clone();
        for (other, private) in &mut self.relatives {
            let theirs = private.pages.get(&index);
            if *other != key && theirs.is_some_and(|page| Rc::ptr_eq(page, &mine)) {
                private.robbed = true;
                private.pages.remove(&index);
            }
        }
    }

    /// `HugeFile::fork_private`, of one VMA. `pinned`: a GUP user has those that are its own.
    pub(crate) fn fork(
        &mut self,
        (parent, child): (usize, usize),
        range: FileRange,
        (pinned, nodes): (&[usize], &[usize]),
        (pool, world): (&mut Shell, &mut dyn World),
    ) {
        let mut copy = Private::new(None);
        let parent = self.private(parent);
        for (index, page) in parent.pages.range(range.first..range.end) {
            if !pinned.contains(index) || Rc::strong_count(page) > 1 {
                copy.pages.insert(*index, page.clone());
                continue;
            }
            match take(nodes, Claim::Unreserved, pool, world) {
                Some(node) => {
                    let page = Folio::new(node, page.value.get());
                    copy.pages.insert(*index, page);
                }
                None => copy.robbed = true,
            }
        }
        self.relatives.insert(child, copy);
    }

    /// `HugeFile::close_private`.
    pub(crate) fn close(
        &mut self,
        key: usize,
        range: FileRange,
        (pool, world): (&mut Shell, &mut dyn World),
    ) -> Release {
        let private = self.private(key);
        let release = private.closed(range);
        let range = match release {
            Release::Nothing => return release,
            Release::Range(range) => range,
            Release::All => FileRange::from(0),
        };
        let gone = private.pages.range(range.first..range.end);
        for index in Vec::from_iter(gone.map(|(index, _)| *index)) {
            let page = private.pages.remove(&index).expect("it is there");
            retire(page, pool, world);
        }
        let unused = self.private(key).end_promises(range);
        if release == Release::All {
            self.relatives.remove(&key);
        }
        if unused > 0 {
            pool.unreserve(unused, world);
        }
        release
    }

    /// `HugeFile::set_size`.
    pub(crate) fn set_size(&mut self, size: usize, pool: &mut Shell, world: &mut dyn World) {
        self.size = size;
        let mut dropped = 0;
        while let Some(index) = self.next_page(size) {
            self.drop_private_pages(index, pool, world);
            dropped += usize::from(self.drop_page(index, pool, world));
        }
        let unused = self.file.forget(FileRange::from(size)) - dropped;
        if unused > 0 {
            pool.unreserve(unused, world);
        }
    }

    /// `HugeFile::punch_hole`.
    pub(crate) fn punch(&mut self, range: FileRange, pool: &mut Shell, world: &mut dyn World) {
        while let Some(index) = self.next_page(range.first).filter(|at| *at < range.end) {
            if self.file.present().contains_key(&index) {
                assert_eq!(self.file.forget(FileRange::only(index)), 1);
            }
            self.drop_private_pages(index, pool, world);
            self.drop_page(index, pool, world);
        }
    }

    fn drop_private_pages(&mut self, index: usize, pool: &mut Shell, world: &mut dyn World) {
        for key in self.order() {
            self.drop_private_page(key, index, pool, world);
        }
    }

    /// `HugeFile::drop_private_page`.
    pub(crate) fn drop_private_page(
        &mut self,
        key: usize,
        index: usize,
        pool: &mut Shell,
        world: &mut dyn World,
    ) {
        let private = self.private(key);
        let Some(page) = private.pages.remove(&index) else {
            return;
        };
        let Some(Folio { node, .. }) = Rc::into_inner(page) else {
            return;
        };
        if private.owner && pool.counts.total().surplus.is_zero() {
            private.promise_again(index);
            assert!(pool.unuse(node));
        } else {
            free(pool, node, world);
        }
    }

    /// The file's page goes; whether there was one.
    pub(crate) fn drop_page(
        &mut self,
        index: usize,
        pool: &mut Shell,
        world: &mut dyn World,
    ) -> bool {
        self.values.remove(&index);
        let node = self.file.remove(index);
        if let Some(node) = node {
            free(pool, node, world);
        }
        node.is_some()
    }

    /// `HugeFile::next_page`.
    pub(crate) fn next_page(&self, from: usize) -> Option<usize> {
        let first = |pages: &BTreeMap<usize, Rc<Folio>>| {
            let page = pages.range(from..).next();
            page.map(|(index, _)| *index)
        };
        let private = self.relatives.values().filter_map(|it| first(&it.pages));
        let file = self.file.present().range(from..).map(|(index, _)| *index);
        private.chain(file).min()
    }
}

/// `Hstate::retire_private`.
fn retire(page: Rc<Folio>, pool: &mut Shell, world: &mut dyn World) {
    if let Some(Folio { node, .. }) = Rc::into_inner(page) {
        free(pool, node, world);
    }
}

/// `HugeFile::take_back`.
pub(crate) fn take_back(page: Rc<Folio>, claim: Claim, pool: &mut Shell, world: &mut dyn World) {
    match claim {
        Claim::Reserved => assert!(pool.unuse(page.node)),
        Claim::Unreserved => free(pool, page.node, world),
    }
}
