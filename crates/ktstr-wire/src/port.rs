//! The I/O ports that carry frames out of a machine, and the parameters in: every monitor puts them at the same place, and no
//! driver is needed.

/// Port of the data register: bytes go out by `rep outsb`, in order, as many as one likes.
///
/// Free on a PC: above the CMOS and below the ACPI blocks that QEMU's q35 puts at 0x600 (hw/i386/acpi-build.c).
pub const PORT: u16 = 0x5b0;
/// What a read of [`PORT`] gives; a bus without the device gives 0xff.
pub const PORT_READY: u8 = 0x6b;
/// Port of the doorbell, 32 bits wide: so many bytes of the [`WINDOW`] are the next ones of the stream.
///
/// KVM leaves the machine for each byte of a `rep outsb` (measured; `emulator_pio_out`, arch/x86/kvm/x86.c), and for each
/// ring of the doorbell just once.
///
/// A read of 32 bits is the other direction: so many bytes of the [`INBOX`] are the next ones that the host has; 0 when there are
/// no more. All ones are a bus without the device. Reads of another width say nothing and take nothing.
pub const DOORBELL: u16 = PORT + 4;
/// Guest-physical address of the window: RAM that the firmware's map reserves, below the first megabyte, where `/dev/mem`
/// maps it write-back (`devmem_is_allowed`, arch/x86/mm/init.c).
pub const WINDOW: u64 = 0xd_0000;
/// Bytes of the window.
pub const WINDOW_LEN: usize = 0x1_0000;
/// Guest-physical address of what the host says: the same kind of memory as the [`WINDOW`], just below it.
///
/// A PC has its video ROM here; the kernel looks for its signature once, early (arch/x86/kernel/probe_roms.c), when this is zero.
pub const INBOX: u64 = 0xc_0000;
/// Bytes of the inbox.
pub const INBOX_LEN: usize = 0x1_0000;

/// File in the guest that makes a process with number 1 a guest: the initramfs has it, and no container.
pub const GUEST_MARKER: &str = "/ktstr/guest";
/// File with the sealed parameters, in machines whose channel has no way in.
pub const PARAMS_PATH: &str = "/ktstr/params";
