//! The I/O port that carries frames out of a machine: every monitor puts it at the same place, and no driver is needed.

/// Port of the data register: bytes go out by `rep outsb`, in order, as many as one likes.
///
/// Free on a PC: above the CMOS and below the ACPI blocks that QEMU's q35 puts at 0x600 (hw/i386/acpi-build.c).
pub const PORT: u16 = 0x5b0;
/// What a read of [`PORT`] gives; a bus without the device gives 0xff.
pub const PORT_READY: u8 = 0x6b;
