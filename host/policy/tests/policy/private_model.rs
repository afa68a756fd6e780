// SPDX-License-Identifier: GPL-2.0

//! A naive hugetlb file with private mappings: VMAs with page tables and region maps, nothing
//! counted that can be looked up.
//!
//! Follows mm/hugetlb.c and fs/hugetlbfs/inode.c, never the code under test, but for what the module
//! does otherwise on purpose:
//!
//! - mremap of a part of a mapping leaves the rest its reservations (hugetlb's
//!   `clear_vma_resv_huge_pages` takes them, and they are counted for ever);
//! - a fork goes on where there is no page for a copy of a pinned one: the child gets SIGBUS there;
//! - who lost a page gets SIGBUS all over its mapping, which can be several VMAs by then (with
//!   hugetlb, in the VMA that had the page);
//! - a process that exits gives back pages and reservations VMA by VMA (hugetlb all pages first);
//! - truncation and holes go page by page through all mappings, and whether there is surplus is looked
//!   at for each (hugetlb goes mapping by mapping, and looks before it frees any page of it).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rust_hugetlb::policy::pool::Claim;
use rust_hugetlb::policy::range::FileRange;

use crate::files::{free, take, ModelFile};
use crate::machine::Machine;
use crate::model::Model;
use crate::private_file::{Folio, Touch};
use crate::world::Hugetlb;

/// A page table entry.
#[derive(Clone)]
pub(crate) enum Pte {
    Anon(Rc<Folio>),
    File,
}

/// A private VMA.
#[derive(Clone)]
pub(crate) struct Vma {
    pub(crate) mm: usize,
    /// Which mmap or fork it comes from.
    pub(crate) mapping: usize,
    pub(crate) range: FileRange,
    /// The region map, with `HPAGE_RESV_OWNER`: of the indices whose reservations are used up.
    pub(crate) resv: Option<Rc<RefCell<BTreeSet<usize>>>>,
    /// `HPAGE_RESV_UNMAPPED`.
    pub(crate) unmapped: bool,
    pub(crate) ptes: BTreeMap<usize, Pte>,
}

/// A file, and the VMAs that show it.
#[derive(Default)]
pub(crate) struct CowModel {
    pub(crate) file: ModelFile,
    pub(crate) values: BTreeMap<usize, u32>,
    pub(crate) size: usize,
    pub(crate) vmas: Vec<Vma>,
}

/// Why there is no folio.
enum NoFolio {
    Space,
    /// What `__vmf_anon_prepare` needs, or whatever else.
    Memory,
}

type On<'a> = (&'a mut Model, &'a mut Machine);

/// `free_huge_folio`, with the reservation restored or not.
fn free_huge_folio(node: usize, restore_reserve: bool, (pool, world): On<'_>) {
    if restore_reserve {
        assert!(pool.unuse(node));
    } else {
        free(pool, node, world);
    }
}

impl CowModel {
    /// `folio_mapcount`.
    fn mapcount(&self, folio: &Rc<Folio>) -> usize {
        let ptes = self.vmas.iter().flat_map(|vma| vma.ptes.values());
        let of_it = |pte: &&Pte| matches!(pte, Pte::Anon(it) if Rc::ptr_eq(it, folio));
        ptes.filter(of_it).count()
    }

    /// `hugetlb_reserve_pages` for a private mapping.
    pub(crate) fn map_private(
        &mut self,
        (mm, mapping): (usize, usize),
        range: FileRange,
        noreserve: bool,
        nodes: &[usize],
        (pool, world): On<'_>,
    ) -> bool {
        if !noreserve && !pool.reserve(range.end - range.first, nodes, world) {
            return false;
        }
        self.vmas.push(Vma {
            mm,
            mapping,
            range,
            resv: (!noreserve).then(Default::default),
            unmapped: false,
            ptes: BTreeMap::new(),
        });
        true
    }

    /// A fault and the access in a shared mapping.
    pub(crate) fn touch_shared(
        &mut self,
        index: usize,
        touch: &Touch,
        (pool, world): On<'_>,
    ) -> Option<u32> {
        let is_there = self.file.page_cache.contains_key(&index);
        if !is_there {
            if index >= self.size {
                return None;
            }
            let claim = match self.file.reserve_map.contains(&index) {
                true => Claim::Reserved,
                false => Claim::Unreserved,
            };
            let node = take(&touch.nodes, claim, pool, world)?;
            self.file.commit(index, claim, None, pool, world)?;
            self.file.page_cache.insert(index, node);
            self.values.insert(index, 0);
        }
        let value = self.values.get_mut(&index)?;
        *value = touch.write.unwrap_or(*value);
        Some(*value)
    }

    /// `alloc_hugetlb_folio`, and what can go wrong before the folio is mapped.
    fn alloc_hugetlb_folio(
        &self,
        vma: usize,
        index: usize,
        cow_from_owner: bool,
        touch: &Touch,
        (pool, world): On<'_>,
    ) -> Result<usize, NoFolio> {
        let resv = self.vmas[vma].resv.as_ref();
        // `vma_needs_reservation`.
        let needed = resv.is_none_or(|used| used.borrow().contains(&index));
        let claim = match cow_from_owner || needed {
            true => Claim::Unreserved,
            false => Claim::Reserved,
        };
        let node = take(&touch.nodes, claim, pool, world).ok_or(NoFolio::Space)?;
        // `vma_commit_reservation`.
        if let Some(used) = resv.filter(|_| !cow_from_owner) {
            used.borrow_mut().insert(index);
        }
        if touch.no_map || (touch.no_table && claim == Claim::Reserved) {
            self.restore_reserve_on_error(vma, index, claim);
            free_huge_folio(node, claim == Claim::Reserved, (pool, world));
            return Err(NoFolio::Memory);
        }
        Ok(node)
    }

    fn restore_reserve_on_error(&self, vma: usize, index: usize, claim: Claim) {
        if let (Some(used), Claim::Reserved) = (&self.vmas[vma].resv, claim) {
            used.borrow_mut().remove(&index);
        }
    }

    /// `hugetlb_fault` and the access. None: SIGBUS.
    pub(crate) fn touch_private(
        &mut self,
        vma: usize,
        index: usize,
        touch: &Touch,
        (pool, world): On<'_>,
    ) -> Option<u32> {
        if !self.vmas[vma].ptes.contains_key(&index) {
            self.no_page(vma, index, touch, (pool, world))?;
        }
        if touch.write.is_some() {
            self.wp(vma, index, touch, (pool, world))?;
        }
        match (&self.vmas[vma].ptes[&index], touch.write) {
            (Pte::Anon(folio), write) => {
                folio.value.set(write.unwrap_or(folio.value.get()));
                Some(folio.value.get())
            }
            (Pte::File, write) => {
                assert_eq!(write, None, "a write into the file");
                self.values.get(&index).copied()
            }
        }
    }

    /// `hugetlb_no_page`.
    fn no_page(&mut self, vma: usize, index: usize, touch: &Touch, on: On<'_>) -> Option<()> {
        if self.vmas[vma].unmapped {
            return None;
        }
        let pte = if self.file.page_cache.contains_key(&index) {
            Pte::File
        } else {
            if index >= self.size {
                return None;
            }
            let node = self.alloc_hugetlb_folio(vma, index, false, touch, on);
            Pte::Anon(Folio::new(node.ok()?, 0))
        };
        self.vmas[vma].ptes.insert(index, pte);
        Some(())
    }

    /// `hugetlb_wp`.
    fn wp(&mut self, vma: usize, index: usize, touch: &Touch, (pool, world): On<'_>) -> Option<()> {
        let pte = self.vmas[vma].ptes[&index].clone();
        loop {
            if matches!(&pte, Pte::Anon(old_folio) if self.mapcount(old_folio) == 1) {
                return Some(());
            }
            let anon = matches!(pte, Pte::Anon(_));
            let cow_from_owner = self.vmas[vma].resv.is_some() && anon;
            let new = self.alloc_hugetlb_folio(vma, index, cow_from_owner, touch, (pool, world));
            match (new, &pte) {
                (Ok(node), _) => {
                    let value = match &pte {
                        Pte::Anon(old_folio) => old_folio.value.get(),
                        Pte::File => self.values[&index],
                    };
                    let new = Pte::Anon(Folio::new(node, value));
                    self.vmas[vma].ptes.insert(index, new);
                    return Some(());
                }
                (Err(NoFolio::Space), Pte::Anon(old_folio)) if cow_from_owner => {
                    self.unmap_ref_private(vma, index, old_folio);
                }
                (Err(_), _) => return None,
            }
        }
    }

    /// `unmap_ref_private`.
    fn unmap_ref_private(&mut self, vma: usize, index: usize, folio: &Rc<Folio>) {
        for iter_vma in 0..self.vmas.len() {
            let it = &mut self.vmas[iter_vma];
            if iter_vma == vma || it.resv.is_some() {
                continue;
            }
            if matches!(it.ptes.get(&index), Some(Pte::Anon(its)) if Rc::ptr_eq(its, folio)) {
                it.ptes.remove(&index);
                let mapping = it.mapping;
                self.set_unmapped(mapping);
            }
        }
    }

    fn set_unmapped(&mut self, mapping: usize) {
        for vma in self.vmas.iter_mut().filter(|vma| vma.mapping == mapping) {
            vma.unmapped = true;
        }
    }

    /// `__unmap_hugepage_range`, and what `tlb_finish_mmu` frees.
    fn unmap_hugepage_range(&mut self, vma: usize, range: FileRange, (pool, world): On<'_>) {
        let mut batch = Vec::new();
        for index in range.first..range.end {
            let Some(Pte::Anon(folio)) = self.vmas[vma].ptes.remove(&index) else {
                continue;
            };
            let mapped = self.mapcount(&folio) > 0;
            let mut restore_reserve = false;
            if let Some(used) = &self.vmas[vma].resv {
                if pool.surplus() == 0 && !mapped {
                    restore_reserve = true;
                    used.borrow_mut().remove(&index);
                }
            }
            if !mapped {
                batch.push((folio.node, restore_reserve));
            }
        }
        for (node, restore_reserve) in batch {
            free_huge_folio(node, restore_reserve, (pool, world));
        }
    }

    /// Cuts a VMA so that `part` is one. Which.
    pub(crate) fn split(&mut self, vma: usize, part: FileRange) -> usize {
        let whole = self.vmas.swap_remove(vma);
        let cut = |first, end| Vma {
            range: FileRange { first, end },
            ptes: {
                let ptes = whole.ptes.range(first..end);
                ptes.map(|(index, pte)| (*index, pte.clone())).collect()
            },
            ..whole.clone()
        };
        let (first, end) = (part.first, part.end);
        let pieces = [
            (whole.range.first, first),
            (end, whole.range.end),
            (first, end),
        ];
        for (first, end) in pieces {
            if first < end {
                let piece = cut(first, end);
                self.vmas.push(piece);
            }
        }
        self.vmas.len() - 1
    }

    /// munmap of a whole VMA: its pages go, then `hugetlb_vm_op_close`.
    pub(crate) fn unmap(&mut self, vma: usize, (pool, world): On<'_>) {
        let range = self.vmas[vma].range;
        self.unmap_hugepage_range(vma, range, (pool, world));
        let vma = self.vmas.swap_remove(vma);
        if let Some(used) = vma.resv {
            let region_count = used.borrow().range(range.first..range.end).count();
            pool.unreserve(range.end - range.first - region_count, world);
        }
    }

    /// `copy_hugetlb_page_range`, of one VMA into another address space. `pinned`: what of it a GUP
    /// user has, if it is exclusive.
    pub(crate) fn fork(
        &mut self,
        vma: usize,
        (mm, mapping): (usize, usize),
        (pinned, nodes): (&[usize], &[usize]),
        (pool, world): On<'_>,
    ) {
        let parent = self.vmas[vma].clone();
        // `hugetlb_dup_vma_private`.
        let mut child = Vma {
            mm,
            mapping,
            resv: None,
            unmapped: false,
            ptes: BTreeMap::new(),
            ..parent
        };
        for (index, pte) in parent.ptes {
            let Pte::Anon(folio) = pte else {
                child.ptes.insert(index, Pte::File);
                continue;
            };
            // The entry in the parent, and our copy of the parent.
            let exclusive = self.mapcount(&folio) == 1;
            if !pinned.contains(&index) || !exclusive {
                child.ptes.insert(index, Pte::Anon(folio));
                continue;
            }
            match take(nodes, Claim::Unreserved, pool, world) {
                Some(node) => {
                    let copy = Folio::new(node, folio.value.get());
                    child.ptes.insert(index, Pte::Anon(copy));
                }
                None => child.unmapped = true,
            }
        }
        self.vmas.push(child);
    }

    /// `hugetlb_vmdelete_list` and `remove_inode_hugepages` for one page; whether the file had it.
    fn remove(&mut self, index: usize, backward: bool, (pool, world): On<'_>) -> bool {
        let mut order = Vec::from_iter(0..self.vmas.len());
        order.sort_by_key(|vma| self.vmas[*vma].mapping);
        if backward {
            order.reverse();
        }
        for vma in order {
            self.unmap_hugepage_range(vma, FileRange::only(index), (pool, world));
        }
        self.values.remove(&index);
        let node = self.file.page_cache.remove(&index);
        if let Some(node) = node {
            free(pool, node, world);
        }
        node.is_some()
    }

    /// `hugetlb_vmtruncate`. `pages`: more than any index.
    pub(crate) fn truncate(
        &mut self,
        size: usize,
        pages: usize,
        backward: bool,
        (pool, world): On<'_>,
    ) {
        self.size = size;
        let mut freed = 0;
        for index in size..pages {
            freed += usize::from(self.remove(index, backward, (pool, world)));
        }
        // `hugetlb_unreserve_pages`.
        let chg = self.file.reserve_map.split_off(&size).len();
        pool.unreserve(chg - freed, world);
    }

    /// `hugetlbfs_punch_hole`.
    pub(crate) fn punch(&mut self, range: FileRange, backward: bool, (pool, world): On<'_>) {
        for index in range.first..range.end {
            if self.remove(index, backward, (pool, world)) {
                self.file.reserve_map.remove(&index);
            }
        }
    }
}
