//! Shared libraries of a program: DT_NEEDED, recursively, found the way the dynamic linker finds them (ld.so(8)).

use object::elf;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the libraries of a program could not be listed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DepsError {
    /// The file cannot be read.
    #[error("failed to read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a 64-bit little-endian ELF file, or a damaged one.
    #[error("{path} is not a 64-bit ELF program: {why}")]
    Elf {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A library that is nowhere.
    #[error("{needed_by} needs {library}, which is not in the library directories: install the package that brings it")]
    Missing {
        /// Name in DT_NEEDED.
        library: String,
        /// Who needs it.
        needed_by: PathBuf,
    },
}

struct Dynamic {
    interpreter: Option<String>,
    needed: Vec<String>,
    search: Vec<PathBuf>,
}

/// Absolute host paths, by the absolute path each must have in the guest; the interpreter included, the program not.
///
/// # Errors
/// A program or library that cannot be read, or a library that is missing.
pub fn shared_libraries(program: &Path) -> Result<BTreeMap<String, PathBuf>, DepsError> {
    let defaults = default_directories();
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut names: BTreeMap<String, ()> = BTreeMap::new();
    let mut queue = VecDeque::from([program.to_owned()]);
    while let Some(path) = queue.pop_front() {
        let dynamic = read_dynamic(&path)?;
        if let Some(interpreter) = dynamic.interpreter
            && !found.contains_key(&interpreter)
        {
            let host = PathBuf::from(&interpreter);
            if !host.exists() {
                return Err(DepsError::Missing { library: interpreter, needed_by: path });
            }
            if let Some(name) = host.file_name() {
                names.insert(name.to_string_lossy().into_owned(), ());
            }
            found.insert(interpreter, host);
        }
        for library in dynamic.needed {
            if names.insert(library.clone(), ()).is_some() {
                continue;
            }
            let host = dynamic
                .search
                .iter()
                .chain(&defaults)
                .map(|dir| dir.join(&library))
                .find(|candidate| is_elf64(candidate))
                .ok_or_else(|| DepsError::Missing { library: library.clone(), needed_by: path.clone() })?;
            found.insert(guest_path(&host, &defaults), host.clone());
            queue.push_back(host);
        }
    }
    Ok(found)
}

/// The same path as on the host when the guest's linker looks there, else below /lib, where it always looks.
fn guest_path(host: &Path, defaults: &[PathBuf]) -> String {
    let name = host.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let searched = host.parent().is_some_and(|dir| defaults.iter().any(|d| d == dir));
    let standard = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];
    match host.parent().and_then(Path::to_str) {
        Some(dir) if searched && (standard.contains(&dir) || dir.contains("-linux-gnu")) => {
            format!("{dir}/{name}")
        }
        _ => format!("/lib/{name}"),
    }
}

fn is_elf64(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = [0; 5];
    std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut head)).is_ok() && head == *b"\x7fELF\x02"
}

/// What /etc/ld.so.conf names, then the linker's own directories; `ld.so.cache` is made from just these.
fn default_directories() -> Vec<PathBuf> {
    let mut out = Vec::new();
    read_conf(Path::new("/etc/ld.so.conf"), &mut out, 0);
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    for dir in [format!("/lib/{triple}"), format!("/usr/lib/{triple}")] {
        out.push(dir.into());
    }
    out.extend(["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from));
    out
}

fn read_conf(path: &Path, out: &mut Vec<PathBuf>, depth: u32) {
    let Ok(text) = std::fs::read_to_string(path) else {
        return;
    };
    for line in text.lines().map(|l| l.split('#').next().unwrap_or_default().trim()) {
        if let Some(pattern) = line.strip_prefix("include ") {
            // Only the form every distribution uses: a directory and `*.conf`.
            let Some(dir) = Path::new(pattern.trim()).parent() else {
                continue;
            };
            let mut files: Vec<PathBuf> =
                std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
            files.sort();
            for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "conf") && depth < 4) {
                read_conf(file, out, depth + 1);
            }
        } else if line.starts_with('/') {
            out.push(line.into());
        }
    }
}

fn read_dynamic(path: &Path) -> Result<Dynamic, DepsError> {
    let data = std::fs::read(path).map_err(|source| DepsError::Read { path: path.to_owned(), source })?;
    parse_dynamic(&data, path).map_err(|why| DepsError::Elf { path: path.to_owned(), why })
}

fn parse_dynamic(data: &[u8], path: &Path) -> Result<Dynamic, String> {
    type Header = elf::FileHeader64<object::LittleEndian>;
    let text = |e: object::read::Error| e.to_string();
    let header = Header::parse(data).map_err(text)?;
    let endian = header.endian().map_err(text)?;
    let segments = header.program_headers(endian, data).map_err(text)?;
    let mut out = Dynamic { interpreter: None, needed: Vec::new(), search: Vec::new() };
    for segment in segments {
        if let Some(name) = segment.interpreter(endian, data).map_err(text)? {
            out.interpreter = Some(String::from_utf8_lossy(name).into_owned());
        }
    }
    let Some((segment, dynamic)) = segments.iter().find_map(|s| s.dynamic(endian, data).ok().flatten().map(|d| (s, d)))
    else {
        return Ok(out);
    };
    let _ = segment;
    let value = |tag: u32| dynamic.iter().find(|d| d.d_tag(endian) == u64::from(tag)).map(|d| d.d_val(endian));
    let Some(strings_at) = value(elf::DT_STRTAB) else {
        return Ok(out);
    };
    let size = value(elf::DT_STRSZ).unwrap_or(0);
    let strings = segments
        .iter()
        .find_map(|s| s.data_range(endian, data, strings_at, size).ok().flatten())
        .ok_or("its string table is not mapped")?;
    let string = |offset: u64| -> Option<String> {
        let tail = strings.get(usize::try_from(offset).ok()?..)?;
        let end = tail.iter().position(|&b| b == 0)?;
        Some(String::from_utf8_lossy(&tail[..end]).into_owned())
    };
    let origin = path.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    for entry in dynamic {
        let tag = entry.d_tag(endian);
        if tag == u64::from(elf::DT_NEEDED) {
            out.needed.extend(string(entry.d_val(endian)));
        } else if tag == u64::from(elf::DT_RUNPATH) || tag == u64::from(elf::DT_RPATH) {
            let list = string(entry.d_val(endian)).unwrap_or_default();
            let expanded = list.replace("$ORIGIN", &origin).replace("${ORIGIN}", &origin);
            out.search.extend(expanded.split(':').filter(|d| !d.is_empty()).map(PathBuf::from));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_needs_the_c_library_and_its_interpreter() {
        let libraries = shared_libraries(&std::env::current_exe().unwrap()).unwrap();
        assert!(libraries.keys().any(|k| k.ends_with("/libc.so.6")), "{libraries:?}");
        assert!(libraries.keys().any(|k| k.contains("ld-linux")), "{libraries:?}");
    }

    #[test]
    fn what_is_not_a_program_is_refused_by_name() {
        let error = shared_libraries(Path::new("/etc/passwd")).unwrap_err().to_string();
        assert!(error.contains("/etc/passwd is not a 64-bit ELF program"), "{error}");
    }
}
