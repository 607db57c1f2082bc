//! The I/O ports that carry frames out of a machine: every monitor puts them at the same place, and no driver is needed.

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
pub const DOORBELL: u16 = PORT + 4;
/// Guest-physical address of the window: RAM that the firmware's map reserves, below the first megabyte, where `/dev/mem`
/// maps it write-back (`devmem_is_allowed`, arch/x86/mm/init.c).
pub const WINDOW: u64 = 0xd_0000;
/// Bytes of the window.
pub const WINDOW_LEN: usize = 0x1_0000;
