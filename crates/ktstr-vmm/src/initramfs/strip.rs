//! A copy of a program without its debug information; symbols stay, so that backtraces name functions.

use object::elf;
use object::read::elf::{FileHeader as _, SectionHeader as _};

/// The program without its `.debug_*` sections' bytes; unchanged when it is not laid out as linkers do.
///
/// Sections that are not loaded lie behind everything that is. The debug ones are emptied and those after them moved up; the
/// section headers are rewritten in place at the new end. Nothing that is loaded moves.
#[must_use]
pub fn without_debug_sections(data: &[u8]) -> Vec<u8> {
    strip(data).unwrap_or_else(|| data.to_vec())
}

const SECTION_HEADER_LEN: usize = 64;

fn strip(data: &[u8]) -> Option<Vec<u8>> {
    type Header = elf::FileHeader64<object::LittleEndian>;
    let header = Header::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let table_at = usize::try_from(header.e_shoff(endian)).ok()?;
    let mut loaded_end = 64;
    for segment in header.program_headers(endian, data).ok()? {
        use object::read::elf::ProgramHeader as _;
        let (at, len) = segment.file_range(endian);
        loaded_end = loaded_end.max(usize::try_from(at.checked_add(len)?).ok()?);
    }
    let mut table = data.get(table_at..)?.get(..sections.len() * SECTION_HEADER_LEN)?.to_vec();
    let mut out = data.get(..loaded_end)?.to_vec();
    for (index, section) in sections.iter().enumerate() {
        let (Some((at, len)), at_header) = (section.file_range(endian), index * SECTION_HEADER_LEN) else {
            continue;
        };
        let (at, len) = (usize::try_from(at).ok()?, usize::try_from(len).ok()?);
        if at + len <= loaded_end || section.sh_type(endian) == elf::SHT_NOBITS {
            continue;
        }
        if section.sh_flags(endian) & u64::from(elf::SHF_ALLOC) != 0 {
            return None;
        }
        let name = sections.section_name(endian, section).ok()?;
        let keep: &[u8] = if name.starts_with(b".debug_") { &[] } else { data.get(at..at + len)? };
        out.resize(out.len().next_multiple_of(16), 0);
        let offset = u64::try_from(out.len()).ok()?;
        out.extend_from_slice(keep);
        let entry = &mut table[at_header..at_header + SECTION_HEADER_LEN];
        // sh_offset at 24, sh_size at 32 (ELF-64 object file format, section header).
        entry[24..32].copy_from_slice(&offset.to_le_bytes());
        entry[32..40].copy_from_slice(&u64::try_from(keep.len()).ok()?.to_le_bytes());
        if keep.is_empty() {
            // SHT_NULL at 4: no reader looks for compressed or relocated content in it.
            entry[4..8].copy_from_slice(&elf::SHT_NULL.to_le_bytes());
        }
    }
    out.resize(out.len().next_multiple_of(16), 0);
    let new_table = u64::try_from(out.len()).ok()?;
    out.extend_from_slice(&table);
    // e_shoff at 40 (ELF-64 object file format, file header).
    out.get_mut(40..48)?.copy_from_slice(&new_table.to_le_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::Object as _;

    #[test]
    fn a_stripped_copy_of_this_program_keeps_its_symbols_and_runs() {
        use std::os::unix::fs::PermissionsExt as _;
        let original = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let stripped = without_debug_sections(&original);
        assert!(stripped.len() < original.len());
        let count = |data: &[u8]| {
            object::File::parse(data).unwrap().symbols().filter(object::ObjectSymbol::is_definition).count()
        };
        assert_eq!(count(&stripped), count(&original));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy");
        std::fs::write(&path, &stripped).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let output = std::process::Command::new(&path).arg("--list").output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("a_stripped_copy_of_this_program"));
    }
}
