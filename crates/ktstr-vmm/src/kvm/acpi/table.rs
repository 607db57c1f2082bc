//! What every table begins with (ACPI 6.5, 5.2.6).

/// Who made the tables.
pub(super) const OEM: &[u8; 6] = b"KTSTR ";

/// The byte that makes a sum of zero; the place of the checksum itself must hold zero.
pub(super) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// Header and body.
pub(super) fn table(signature: [u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    const HEADER: usize = 36;
    const CHECKSUM: usize = 9;
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend_from_slice(&signature);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[revision, 0]);
    out.extend_from_slice(OEM);
    out.extend_from_slice(b"KTSTRVM ");
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(b"KTST");
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(body);
    out[CHECKSUM] = checksum(&out);
    out
}
