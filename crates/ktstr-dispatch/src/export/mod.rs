//! `--ktstr-export-test`: one file that repeats a test on a real machine.

mod bare;
mod script;

pub use bare::run_bare;

use crate::answers::{DONE, NOT_MINE, REFUSED};
use crate::entry::KtstrTestEntry;
use crate::env::Settings;
use crate::registry::{KTSTR_TESTS, find};
use crate::resolve::resolve;
use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};
use ktstr_scenario::SchedulerSpec;
use ktstr_vmm::initramfs::{shared_libraries, without_debug_sections};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The test's own program in the payload.
const PROGRAM: &str = "test";
/// The scheduler's program in the payload.
const SCHEDULER: &str = "scheduler";
/// Libraries and the loader, which is the machine's own no more than they are.
const LIBRARIES: &str = "lib";
/// What starts both programs.
const LOADER: &str = "ld-linux-x86-64.so.2";

/// Writes the file; the answer is the exit code.
#[must_use]
pub fn export(name: &str, output: Option<&str>, settings: &Settings) -> i32 {
    let Some(entry) = find(&KTSTR_TESTS, name) else { return NOT_MINE };
    let path = output.filter(|o| !o.is_empty()).map_or_else(|| PathBuf::from(format!("{name}.run")), PathBuf::from);
    let written = match refusal(entry) {
        Some(why) => Err(anyhow::anyhow!(why)),
        None => write(entry, &path, settings),
    };
    match written {
        Ok(bytes) => {
            eprintln!(
                "ktstr: wrote {} ({} KiB); it needs root and sched_ext where it runs",
                path.display(),
                bytes >> 10
            );
            DONE
        }
        Err(e) => {
            eprintln!("ktstr: `{name}` is not exported: {e:#}");
            REFUSED
        }
    }
}

/// What a real machine cannot be given.
fn refusal(entry: &KtstrTestEntry) -> Option<String> {
    let unsupported = entry.unsupported();
    if entry.host_only {
        Some("it is host_only and runs here as it is".into())
    } else if entry.bpf_map_write {
        Some("bpf_map_write needs the kernel's vmlinux, which a real machine may not have".into())
    } else if matches!(entry.scheduler.spec, SchedulerSpec::KernelBuiltin { .. }) {
        Some("its scheduler is built into a kernel of its own".into())
    } else if !entry.extra_include_files.is_empty() {
        Some(format!("it needs files at absolute paths: {}", entry.extra_include_files.join(", ")))
    } else if !entry.staged_schedulers.is_empty() || entry.config.is_some() || entry.scheduler.config_file.is_some() {
        Some("it stages schedulers or gives one a file, which a .run file does not carry".into())
    } else if entry.payloads().next().is_some() {
        Some("it runs programs, which a .run file does not carry".into())
    } else if !unsupported.is_empty() {
        Some(format!("not supported yet: {}", unsupported.join(", ")))
    } else {
        None
    }
}

fn write(entry: &KtstrTestEntry, path: &Path, settings: &Settings) -> Result<usize> {
    let scheduler = resolve(entry.scheduler, true, settings)?.map(|found| found.path);
    let payload = payload(&std::env::current_exe()?, scheduler.as_deref())?;
    let mut file = script::script(entry.name, scheduler.is_some()).into_bytes();
    file.extend_from_slice(&payload);
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let what = || format!("failed to write {}", path.display());
    // A sibling first: a file that is there is whole.
    let part = dir.join(format!(".{}.{}", path.file_name().unwrap_or_default().to_string_lossy(), std::process::id()));
    let written = std::fs::write(&part, &file)
        .and_then(|()| std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o755)))
        .and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written.with_context(what)?;
    Ok(file.len())
}

/// Programs and libraries as a compressed archive; the same bytes for the same content.
fn payload(test: &Path, scheduler: Option<&Path>) -> Result<Vec<u8>> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("failed to read {}", path.display()));
    let mut files = BTreeMap::from([(PROGRAM.to_owned(), without_debug_sections(&read(test)?))]);
    let mut libraries = shared_libraries(test)?;
    if let Some(path) = scheduler {
        files.insert(SCHEDULER.to_owned(), read(path)?);
        libraries.extend(shared_libraries(path)?);
    }
    for host in libraries.values() {
        let name = host.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(format!("{LIBRARIES}/{name}"), read(host)?);
    }
    for (guest, host) in &libraries {
        // The name that programs ask for may be another than the file's.
        if let Some(name) = Path::new(guest).file_name() {
            files.insert(format!("{LIBRARIES}/{}", name.to_string_lossy()), read(host)?);
        }
    }
    anyhow::ensure!(files.contains_key(&format!("{LIBRARIES}/{LOADER}")), "this program has no loader {LOADER}");
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in &files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_cksum();
        archive.append_data(&mut header, name, content.as_slice()).context("failed to pack the payload")?;
    }
    let mut zipped = archive.into_inner().context("failed to pack the payload")?;
    zipped.flush()?;
    Ok(zipped.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_the_same_twice_and_holds_program_and_loader() {
        let test = std::env::current_exe().unwrap();
        let first = payload(&test, None).unwrap();
        assert_eq!(first, payload(&test, None).unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(first.as_slice()));
        let names: Vec<String> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().to_string_lossy().into_owned()).collect();
        assert!(names.contains(&PROGRAM.to_owned()) && names.contains(&format!("{LIBRARIES}/{LOADER}")), "{names:?}");
    }

    #[test]
    fn what_a_real_machine_cannot_be_given_is_refused_by_name() {
        let host_only = KtstrTestEntry { host_only: true, ..KtstrTestEntry::DEFAULT };
        assert!(refusal(&host_only).unwrap().contains("host_only"));
        let files = KtstrTestEntry { extra_include_files: &["/etc/x"], ..KtstrTestEntry::DEFAULT };
        assert!(refusal(&files).unwrap().contains("/etc/x"));
        assert!(refusal(&KtstrTestEntry::DEFAULT).is_none());
    }
}
