//! The kernel's symbols for gdb: from the image, from the distribution's package, or from the kernel itself.
//!
//! Distributions strip the image and put the symbols into a package of a gigabyte. The running kernel knows the names and addresses
//! of all it consists of, and an uncompressed image lies where it was linked to: nothing moves it, for the decompressor does that.

use crate::shell;
use anyhow::{Context as _, Result, ensure};
use ktstr_kernel::Progress;
use ktstr_kernel::cache::{Cache, sha256_file};
use ktstr_kernel::find::FoundKernel;
use object::elf::{
    ELFMAG, EM_X86_64, ET_EXEC, SHF_ALLOC, SHF_EXECINSTR, SHN_ABS, SHT_NOBITS, STB_GLOBAL, STB_LOCAL, STT_FUNC,
    STT_NOTYPE, STT_OBJECT,
};
use object::write::elf::{FileHeader, SectionHeader, Sym, Writer};
use object::{Endianness, Object as _, ObjectSection, SectionFlags};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Of a machine with little in it.
const COMMAND: &str = "cat /proc/kallsyms";

/// Of the files; another version makes others.
const VERSION: u32 = 1;

/// A file with the symbols of `image`, and what to say where they are only names.
pub fn of(image: &Path, release: Option<&str>, progress: &dyn Progress) -> (PathBuf, Option<String>) {
    let bytes = std::fs::read(image).unwrap_or_default();
    if has_symbols(&bytes) {
        return (image.to_owned(), None);
    }
    let release = release.unwrap_or("RELEASE");
    let installed =
        [format!("/usr/lib/debug/boot/vmlinux-{release}"), format!("/usr/lib/debug/lib/modules/{release}/vmlinux")];
    let own = build_id(&bytes);
    let is_its = |path: &PathBuf| own.is_some() && std::fs::read(path).is_ok_and(|other| build_id(&other) == own);
    if let Some(found) = installed.iter().map(PathBuf::from).find(is_its) {
        return (found, None);
    }
    let package = format!("Debian's `linux-image-{release}-dbg` has lines and types too, in {}", installed[0]);
    match from_kernel(image, &bytes, progress) {
        Ok(file) => (file, Some(format!("these are names and addresses; {package}"))),
        Err(e) => {
            let hint = format!("this image holds no symbols, and there are none from its kernel: {e:#}\n{package}");
            (image.to_owned(), Some(hint))
        }
    }
}

fn has_symbols(elf: &[u8]) -> bool {
    object::File::parse(elf).is_ok_and(|file| file.symbols().next().is_some())
}

/// Two kernels of one release are not one kernel.
fn build_id(elf: &[u8]) -> Option<Vec<u8>> {
    object::File::parse(elf).ok()?.build_id().ok().flatten().map(<[u8]>::to_vec)
}

/// Asks the kernel, once; the answer is kept beside other things that can be made again.
fn from_kernel(image: &Path, bytes: &[u8], progress: &dyn Progress) -> Result<PathBuf> {
    let dir = Cache::open()?.symbols_dir();
    let file = dir.join(format!("{}-{VERSION}", sha256_file(image)?));
    if std::fs::read(&file).is_ok_and(|kept| has_symbols(&kept)) {
        return Ok(file);
    }
    ensure!(bytes.starts_with(&ELFMAG), "{} is compressed, and a kernel that unpacks itself moves", image.display());
    progress.step("reading the kernel's symbols");
    let said = shell::printed(FoundKernel::from_path(image)?, COMMAND).context("failed to ask the kernel")?;
    let symbols = file_of(bytes, &String::from_utf8_lossy(&said))?;
    std::fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
    // Whoever looks at the same time sees all of it or nothing.
    let mut whole = tempfile::NamedTempFile::new_in(&dir).context("no file for the symbols")?;
    whole
        .write_all(&symbols)
        .and_then(|()| whole.as_file().sync_all())
        .context("failed to write the symbols: is the disk full?")?;
    whole.persist(&file).with_context(|| format!("failed to write {}", file.display()))?;
    Ok(file)
}

/// A line of /proc/kallsyms (kernel: kernel/kallsyms.c; the letters are those of nm(1)).
#[derive(Debug)]
struct Symbol<'a> {
    address: u64,
    kind: u8,
    name: &'a str,
}

fn parse(line: &str) -> Option<Symbol<'_>> {
    let mut words = line.split_ascii_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let &[kind] = words.next()?.as_bytes() else { return None };
    let name = words.next()?;
    // A module's, or a BPF program's: neither is in another machine at the same place.
    words.next().is_none().then_some(Symbol { address, kind, name })
}

/// An ELF file with the sections of `image`, without their contents, and the symbols.
fn file_of(image: &[u8], kallsyms: &str) -> Result<Vec<u8>> {
    let parsed = object::File::parse(image).context("the kernel's image is no ELF file")?;
    let mut symbols: Vec<Symbol<'_>> = kallsyms.lines().filter_map(parse).collect();
    ensure!(
        symbols.iter().any(|s| s.address != 0),
        "the kernel hides its addresses, or has no CONFIG_KALLSYMS: {} lines of /proc/kallsyms",
        kallsyms.lines().count()
    );
    symbols.sort_by_key(|s| s.address);
    // Those that are local come first.
    let (locals, globals): (Vec<usize>, _) = (0..symbols.len()).partition(|i| symbols[*i].kind.is_ascii_lowercase());

    let mut file = Vec::new();
    let mut writer = Writer::new(Endianness::Little, true, &mut file);
    writer.reserve_file_header();
    let sections: Vec<Section<'_>> = parsed.sections().filter_map(|s| Section::read(&s)).collect();
    let named: Vec<_> =
        sections.iter().map(|s| (writer.add_section_name(s.name), writer.reserve_section_index())).collect();
    let order: Vec<usize> = locals.iter().chain(&globals).copied().collect();
    let names: Vec<_> = order
        .iter()
        .map(|i| {
            let name = writer.add_string(symbols[*i].name.as_bytes());
            writer.reserve_symbol_index(None);
            name
        })
        .collect();
    writer.reserve_symtab_section_index();
    writer.reserve_symtab();
    writer.reserve_strtab_section_index();
    writer.reserve_strtab();
    writer.reserve_shstrtab_section_index();
    writer.reserve_shstrtab();
    writer.reserve_section_headers();

    let header =
        FileHeader { os_abi: 0, abi_version: 0, e_type: ET_EXEC, e_machine: EM_X86_64, e_entry: 0, e_flags: 0 };
    writer.write_file_header(&header).context("failed to write the symbols")?;
    writer.write_null_symbol();
    for (i, name) in order.iter().zip(&names) {
        let Symbol { address, kind, .. } = symbols[*i];
        let place = sections.iter().position(|s| s.range.contains(&address));
        let end = place.map_or(address, |p| sections[p].range.end);
        let next = symbols[*i..].iter().map(|s| s.address).find(|a| *a > address).unwrap_or(end);
        let binding = if kind.is_ascii_lowercase() { STB_LOCAL } else { STB_GLOBAL };
        let what = match place {
            None => STT_NOTYPE,
            Some(p) if sections[p].flags & u64::from(SHF_EXECINSTR) != 0 => STT_FUNC,
            Some(_) => STT_OBJECT,
        };
        writer.write_symbol(&Sym {
            name: Some(*name),
            section: place.map(|p| named[p].1),
            st_info: (binding << 4) | what,
            st_other: 0,
            // Numbers rather than places, for what lies in no section.
            st_shndx: SHN_ABS,
            st_value: address,
            st_size: next.min(end).saturating_sub(address),
        });
    }
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    for (section, (name, _)) in sections.iter().zip(&named) {
        writer.write_section_header(&SectionHeader {
            name: Some(*name),
            sh_type: SHT_NOBITS,
            sh_flags: section.flags,
            sh_addr: section.range.start,
            sh_offset: 0,
            sh_size: section.range.end - section.range.start,
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 1,
            sh_entsize: 0,
        });
    }
    writer.write_symtab_section_header(u32::try_from(locals.len() + 1).context("too many symbols")?);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(file)
}

/// One that is in memory.
struct Section<'a> {
    name: &'a [u8],
    flags: u64,
    range: Range<u64>,
}

impl<'a> Section<'a> {
    fn read<S: ObjectSection<'a>>(section: &S) -> Option<Self> {
        let SectionFlags::Elf { sh_flags } = section.flags() else { return None };
        let loaded = sh_flags & u64::from(SHF_ALLOC) != 0 && section.size() > 0;
        let name = section.name_bytes().unwrap_or_default();
        loaded.then(|| Self { name, flags: sh_flags, range: section.address()..section.address() + section.size() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::ObjectSymbol as _;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// Any ELF file has sections that are in memory.
    static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(|| std::fs::read(std::env::current_exe().unwrap()).unwrap());

    fn sections() -> Vec<(Range<u64>, bool)> {
        let file = object::File::parse(&**IMAGE).unwrap();
        file.sections()
            .filter_map(|s| match s.flags() {
                SectionFlags::Elf { sh_flags } if sh_flags & 2 != 0 && s.size() > 0 => {
                    Some((s.address()..s.address() + s.size(), sh_flags & 4 != 0))
                }
                _ => None,
            })
            .collect()
    }

    #[test]
    fn what_is_in_modules_is_left_out_and_a_kernel_that_hides_its_addresses_is_named() {
        let made = file_of(&IMAGE, "0000000000000010 T one\n0000000000000020 t two\t[scsi]\nrubbish\n").unwrap();
        let file = object::File::parse(&*made).unwrap();
        assert_eq!(file.symbols().filter_map(|s| s.name().ok()).collect::<Vec<_>>(), ["one"]);
        let hidden = file_of(&IMAGE, "0000000000000000 T one\n0000000000000000 T two\n").unwrap_err().to_string();
        assert!(hidden.contains("hides its addresses") && hidden.contains("2 lines"), "{hidden}");
        assert!(file_of(b"MZ", "10 T one").unwrap_err().to_string().contains("no ELF file"));
    }

    #[test]
    fn a_stripped_image_has_no_symbols_and_the_file_that_is_made_has() {
        assert!(has_symbols(&file_of(&IMAGE, "10 T one").unwrap()));
        assert!(!has_symbols(b"no ELF file") && !has_symbols(b""));
    }

    prop_compose! {
        /// In some section, or anywhere.
        fn address()(of in any::<prop::sample::Index>(), at in any::<u64>(), inside in any::<bool>()) -> u64 {
            let sections = sections();
            let range = &sections[of.index(sections.len())].0;
            if inside { range.start + at % (range.end - range.start) } else { at }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// Read back by a library of its own, each name has its address, lies in the section there, is as long as nothing else
        /// begins, and is a function where code is.
        #[test]
        fn every_name_is_where_the_kernel_says(
            symbols in proptest::collection::vec((address(), "[tTdDrRbBAaVWw]", "[a-z_][a-zA-Z0-9_.$]{0,20}"), 1..60)
        ) {
            prop_assume!(symbols.iter().any(|(address, ..)| *address != 0));
            let lines: String = symbols.iter().map(|(a, kind, name)| format!("{a:016x} {kind} {name}\n")).collect();
            let made = file_of(&IMAGE, &lines).unwrap();
            let file = object::File::parse(&*made).unwrap();
            let mut expected: Vec<(u64, String)> = symbols.iter().map(|(a, _, name)| (*a, name.clone())).collect();
            let mut seen: Vec<(u64, String)> =
                file.symbols().map(|s| (s.address(), s.name().unwrap().to_owned())).collect();
            expected.sort();
            seen.sort();
            prop_assert_eq!(&seen, &expected);
            for symbol in file.symbols() {
                let address = symbol.address();
                let global = symbols.iter().any(|(a, kind, name)| {
                    *a == address && Ok(name.as_str()) == symbol.name() && kind.as_bytes()[0].is_ascii_uppercase()
                });
                prop_assert!(!symbol.is_global() || global);
                let place = sections().into_iter().find(|(range, _)| range.contains(&address));
                match place {
                    None => prop_assert_eq!((symbol.section_index(), symbol.size()), (None, 0)),
                    Some((range, code)) => {
                        let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
                        prop_assert_eq!(section.address()..section.address() + section.size(), range.clone());
                        prop_assert_eq!(symbol.kind() == object::SymbolKind::Text, code);
                        let end = address + symbol.size();
                        prop_assert!(end > address && end <= range.end);
                        prop_assert!(expected.iter().all(|(a, _)| *a <= address || *a >= end));
                    }
                }
            }
        }
    }
}
