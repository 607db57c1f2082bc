//! XSAVE: passed on only when the host's own figures agree with each other.

use super::Leaves;
use kvm_bindings::kvm_cpuid_entry2;

/// Leaf 1, ECX: XSAVE and OSXSAVE, and what cannot be used without: FMA, AVX, F16C.
const NEEDS_XSAVE: u32 = 1 << 26 | 1 << 27 | 1 << 12 | 1 << 28 | 1 << 29;
/// Leaf 7, EBX: AVX2 and the AVX-512 family, MPX.
const NEEDS_XSAVE_7B: u32 =
    1 << 5 | 1 << 14 | 1 << 16 | 1 << 17 | 1 << 21 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 30 | 1 << 31;
/// Leaf 7, ECX: PKU, AVX-512 VBMI and what follows, VAES, VPCLMULQDQ.
const NEEDS_XSAVE_7C: u32 = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 14;
/// 0x80000001, ECX: XOP and FMA4.
const NEEDS_XSAVE_81C: u32 = 1 << 11 | 1 << 16;
/// Legacy area and header (SDM volume 1, 13.4).
const LEGACY: u32 = 512 + 64;

fn find(leaves: &[kvm_cpuid_entry2], function: u32, index: u32) -> Option<&kvm_cpuid_entry2> {
    leaves.iter().find(|l| l.function == function && l.index == index)
}

/// Whether leaf 0xD's total is the end of its last component: a kernel panics when it is not (fpu/xstate.c), and emulated
/// hosts have been seen to report such totals.
pub(super) fn xsave_is_consistent(leaves: &[kvm_cpuid_entry2]) -> bool {
    let Some(total) = find(leaves, 0xd, 0) else {
        return false;
    };
    let supported = u64::from(total.eax) | u64::from(total.edx) << 32;
    let end = (2..63)
        .filter(|component| supported & 1 << component != 0)
        .filter_map(|component| find(leaves, 0xd, component))
        .map(|leaf| leaf.ebx.saturating_add(leaf.eax))
        .max()
        .unwrap_or(0)
        .max(LEGACY);
    total.ecx == end
}

/// Takes away XSAVE and everything that lives in its area.
pub(super) fn without_xsave(leaves: &mut Leaves) {
    leaves.change(1, |leaf| leaf.ecx &= !NEEDS_XSAVE);
    leaves.change(7, |leaf| {
        leaf.ebx &= !NEEDS_XSAVE_7B;
        leaf.ecx &= !NEEDS_XSAVE_7C;
        // AVX-512 4VNNIW, 4FMAPS, VP2INTERSECT, FP16, AMX.
        leaf.edx &= !(1 << 2 | 1 << 3 | 1 << 8 | 1 << 22 | 1 << 23 | 1 << 24 | 1 << 25);
    });
    leaves.change(0x8000_0001, |leaf| leaf.ecx &= !NEEDS_XSAVE_81C);
    leaves.remove(0xd);
}
