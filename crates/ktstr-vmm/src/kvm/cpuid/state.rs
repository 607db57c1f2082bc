//! XSAVE: only components whose features the CPU has, and totals that fit them. A kernel panics when they do not agree
//! (arch/x86/kernel/fpu/xstate.c), and emulated hosts have been seen to offer the state of AVX without AVX.

use super::Leaves;
use kvm_bindings::kvm_cpuid_entry2;

/// Legacy area and header (SDM volume 1, 13.4).
const LEGACY: u32 = 512 + 64;
/// x87 and SSE, which every CPU with XSAVE has.
const ALWAYS: u64 = 3;

/// One register of a leaf.
type Register = fn(&kvm_cpuid_entry2) -> u32;

/// Component, and the leaf, register and bit of the feature that it is the state of (SDM volume 1, 13.1).
const COMPONENTS: [(u32, u32, Register, u32); 9] = [
    (2, 1, |l| l.ecx, 28),
    (3, 7, |l| l.ebx, 14),
    (4, 7, |l| l.ebx, 14),
    (5, 7, |l| l.ebx, 16),
    (6, 7, |l| l.ebx, 16),
    (7, 7, |l| l.ebx, 16),
    (9, 7, |l| l.ecx, 3),
    (17, 7, |l| l.edx, 24),
    (18, 7, |l| l.edx, 24),
];

fn find(leaves: &Leaves, function: u32, index: u32) -> Option<&kvm_cpuid_entry2> {
    leaves.0.iter().find(|l| l.function == function && l.index == index)
}

/// Takes away XSAVE and everything whose state only it saves, for a KVM that does not see what a guest chooses. Such a KVM
/// enters the guest with the XCR0 that it believes in, so an XSAVE of the guest would silently save x87 alone, and tasks would
/// find each other's vector registers. FXSAVE saves those of SSE whatever XCR0 says. Gone with it: AVX, FMA, F16C, AVX2,
/// AVX-512, PKU, VAES, VPCLMULQDQ and AMX.
pub(crate) fn without_xsave(leaves: &mut Vec<kvm_cpuid_entry2>) {
    const XSAVE_AVX_1C: u32 = 1 << 12 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 29;
    const AVX_7B: u32 = 1 << 5 | 1 << 16 | 1 << 17 | 1 << 21 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 30 | 1 << 31;
    const AVX_7C: u32 = 1 << 1 | 1 << 3 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 14;
    const AVX_7D: u32 = 1 << 2 | 1 << 3 | 1 << 8 | 1 << 22 | 1 << 23 | 1 << 24 | 1 << 25;
    const XOP_81C: u32 = 1 << 11 | 1 << 16;
    for leaf in leaves.iter_mut().filter(|l| l.index == 0) {
        match leaf.function {
            1 => leaf.ecx &= !XSAVE_AVX_1C,
            7 => {
                leaf.ebx &= !AVX_7B;
                leaf.ecx &= !AVX_7C;
                leaf.edx &= !AVX_7D;
            }
            0x8000_0001 => leaf.ecx &= !XOP_81C,
            _ => {}
        }
    }
    leaves.retain(|l| l.function != 0xd);
}

/// Makes leaf 0xD agree with itself and with the features.
pub(super) fn settle_xsave(leaves: &mut Leaves) {
    let Some(total) = find(leaves, 0xd, 0) else {
        return;
    };
    let offered = u64::from(total.eax) | u64::from(total.edx) << 32;
    let mut kept = ALWAYS;
    let mut end = LEGACY;
    for (component, function, register, bit) in COMPONENTS {
        let has_feature = find(leaves, function, 0).is_some_and(|l| register(l) >> bit & 1 != 0);
        if let Some(part) = find(leaves, 0xd, component)
            && has_feature
            && offered >> component & 1 != 0
        {
            kept |= 1 << component;
            end = end.max(part.ebx.saturating_add(part.eax));
        }
    }
    let gone = |index: u32| (2..63).contains(&index) && kept >> index & 1 == 0;
    // Sub-leaves of supervisor components have bit 0 of ECX set, and are none of XCR0's.
    leaves.0.retain(|l| l.function != 0xd || !gone(l.index) || l.ecx & 1 != 0);
    leaves.change(0xd, |leaf| {
        [leaf.eax, leaf.edx] = [kept, kept >> 32].map(|half| u32::try_from(half & u64::from(u32::MAX)).unwrap_or(0));
        (leaf.ebx, leaf.ecx) = (end, end);
    });
}
