//! RAM of huge pages for performance mode: taken whole before the guest starts, so that a shortage is said and never a SIGBUS.

use super::memory::Region;
use anyhow::{Context as _, Result};
use ktstr_verdict::PerfModeUnavailable;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vm_memory::mmap::{GuestRegionMmap, MmapRegionBuilder};
use vm_memory::{GuestAddress, GuestMemoryMmap};

/// Bytes of a huge page: what a page directory of x86 maps, and what every CPU of today has.
const HUGE_PAGE: u64 = 2 << 20;
const MIB_PER_PAGE: u64 = HUGE_PAGE >> 20;
/// Where the kernel counts them (Documentation/admin-guide/mm/hugetlbpage.rst).
const POOL: &str = "hugepages/hugepages-2048kB";

/// Sizes of the nodes, MiB, made multiples of a huge page.
pub(crate) fn whole_pages(node_mib: Vec<u64>) -> Vec<u64> {
    node_mib.into_iter().map(|mib| mib.next_multiple_of(MIB_PER_PAGE)).collect()
}

/// Some huge pages of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pool {
    /// All there are.
    total: u64,
    /// Those that nobody uses and nobody has been promised.
    free: u64,
    /// The file that changes their number.
    knob: PathBuf,
}

impl Pool {
    /// Of the whole host.
    fn of_host() -> Option<Self> {
        Self::read(Path::new("/sys/kernel/mm"), "/proc/sys/vm/nr_hugepages".into())
    }

    /// Of one node.
    fn of_node(node: u32) -> Option<Self> {
        let dir = PathBuf::from(format!("/sys/devices/system/node/node{node}"));
        Self::read(&dir, dir.join(POOL).join("nr_hugepages"))
    }

    fn read(dir: &Path, knob: PathBuf) -> Option<Self> {
        let number = |name| std::fs::read_to_string(dir.join(POOL).join(name)).ok()?.trim().parse::<u64>().ok();
        // A node does not count promises.
        let promised = number("resv_hugepages").unwrap_or(0);
        Some(Self { total: number("nr_hugepages")?, free: number("free_hugepages")?.saturating_sub(promised), knob })
    }

    /// What must be said when it has fewer than `wanted`.
    fn shortage(&self, wanted: u64) -> Option<PerfModeUnavailable> {
        let missing = wanted.checked_sub(self.free).filter(|&missing| missing > 0)?;
        Some(PerfModeUnavailable::new(format!(
            "the machine needs {wanted} huge pages of 2 MiB, and {} are free; run `echo {} > {}` as root",
            self.free,
            self.total + missing,
            self.knob.display()
        )))
    }
}

/// Maps and fills all regions; the node of each is bound to a host node when the host has several.
///
/// # Errors
/// [`PerfModeUnavailable`] when the host has too few huge pages.
pub(crate) fn map(regions: &[Region], host_node: impl Fn(u32) -> Option<u32>) -> Result<GuestMemoryMmap> {
    let mut wanted: BTreeMap<Option<u32>, u64> = BTreeMap::new();
    for region in regions {
        *wanted.entry(host_node(region.node)).or_default() += region.size / HUGE_PAGE;
    }
    for (node, wanted) in wanted {
        let pool = node.map_or_else(Pool::of_host, Pool::of_node).ok_or_else(|| {
            anyhow::Error::new(PerfModeUnavailable::new("this kernel has no huge pages of 2 MiB (CONFIG_HUGETLBFS)"))
        })?;
        if let Some(shortage) = pool.shortage(wanted) {
            return Err(anyhow::Error::new(shortage));
        }
    }
    let mapped = regions.iter().map(|region| map_one(region, host_node(region.node))).collect::<Result<_>>()?;
    GuestMemoryMmap::from_regions(mapped).context("regions of RAM that overlap")
}

fn map_one(region: &Region, node: Option<u32>) -> Result<GuestRegionMmap> {
    let size = usize::try_from(region.size)?;
    let lost = |what: &str, e: std::io::Error| {
        anyhow::Error::new(PerfModeUnavailable::new(format!(
            "{what} of {} huge pages failed: {e}; see HugePages_Free in /proc/meminfo",
            region.size / HUGE_PAGE
        )))
    };
    // Shared, so that no copy is ever due; without MAP_NORESERVE, so that the pages are promised from here on.
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | libc::MAP_HUGE_2MB;
    let mapping = MmapRegionBuilder::new(size)
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(flags)
        .with_hugetlbfs(true)
        .build()
        .map_err(|e| lost("mapping", std::io::Error::other(e)))?;
    if let Some(node) = node {
        bind(mapping.as_ptr(), size, node).map_err(|e| lost(&format!("binding to node {node}"), e))?;
    }
    // A promise is not one of a certain node: only pages that are there are there. Since Linux 5.14.
    // SAFETY: the range is that of the mapping, which nobody else has seen.
    if unsafe { libc::madvise(mapping.as_ptr().cast(), size, libc::MADV_POPULATE_WRITE) } != 0 {
        return Err(lost("filling", std::io::Error::last_os_error()));
    }
    GuestRegionMmap::new(mapping, GuestAddress(region.start)).context("a region past the end of the address space")
}

/// Only this node's memory will do for the range.
fn bind(start: *mut u8, size: usize, node: u32) -> std::io::Result<()> {
    let mask = node_mask(node);
    // The kernel reads one bit fewer than it is told (mm/mempolicy.c, get_nodes).
    let bits = mask.len() * u64::BITS as usize + 1;
    // SAFETY: the range is a mapping of the caller's, and the mask as long as it is said to be.
    let done = unsafe { libc::syscall(libc::SYS_mbind, start, size, libc::MPOL_BIND, mask.as_ptr(), bits, 0) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// A set of one node, as words of 64 bits.
fn node_mask(node: u32) -> Vec<u64> {
    let mut mask = vec![0; (node / u64::BITS) as usize + 1];
    if let Some(last) = mask.last_mut() {
        *last = 1 << (node % u64::BITS);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvm::memory::regions;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_region_is_whole_pages_and_no_node_loses_memory(sizes in prop::collection::vec(0u64..5000, 1..5)) {
            let whole = whole_pages(sizes.clone());
            for (before, after) in sizes.iter().zip(&whole) {
                prop_assert!(after >= before && after - before < MIB_PER_PAGE);
            }
            for region in regions(&whole) {
                prop_assert_eq!((region.start % HUGE_PAGE, region.size % HUGE_PAGE), (0, 0));
            }
        }

        #[test]
        fn a_shortage_says_what_is_needed_what_is_free_and_a_number_that_is_enough(
            wanted in 0u64..10_000, free in 0u64..10_000, used in 0u64..10_000
        ) {
            let pool = Pool { total: free + used, free, knob: "/knob".into() };
            match pool.shortage(wanted) {
                None => prop_assert!(wanted <= free),
                Some(e) => {
                    prop_assert!(wanted > free);
                    let text = e.to_string();
                    let numbers = format!("needs {wanted} huge pages of 2 MiB, and {free} are free");
                    let command = format!("`echo {} > /knob`", wanted + used);
                    prop_assert!(text.contains(&numbers) && text.contains(&command), "{}", text);
                }
            }
        }

        #[test]
        fn a_mask_has_the_bit_of_its_node(node in 0u32..1024) {
            let mask = node_mask(node);
            prop_assert_eq!(mask.iter().map(|w| w.count_ones()).sum::<u32>(), 1);
            prop_assert_eq!(mask[node as usize / 64] >> (node % 64), 1);
        }
    }

    #[test]
    fn pages_that_are_promised_are_not_free() {
        let dir = tempfile::tempdir().unwrap();
        let pool = dir.path().join(POOL);
        std::fs::create_dir_all(&pool).unwrap();
        for (name, number) in [("nr_hugepages", "10\n"), ("free_hugepages", "7\n"), ("resv_hugepages", "3\n")] {
            std::fs::write(pool.join(name), number).unwrap();
        }
        let read = Pool::read(dir.path(), "/knob".into());
        assert_eq!(read, Some(Pool { total: 10, free: 4, knob: "/knob".into() }));
        assert_eq!(Pool::read(&pool, "/knob".into()), None);
    }

    #[test]
    fn a_range_can_be_bound_to_the_node_it_is_on_and_to_no_node_that_is_not_there() {
        let size = 1 << 16;
        let mapping = MmapRegionBuilder::<()>::new(size).build().unwrap();
        // A sandbox without the system call says so and proves nothing.
        if bind(mapping.as_ptr(), size, 0).is_ok() {
            assert!(bind(mapping.as_ptr(), size, 1023).is_err());
        }
    }
}
