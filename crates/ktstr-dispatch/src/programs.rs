//! The programs and files that a test wants in its guest, found on the host.

use crate::entry::KtstrTestEntry;
use anyhow::Context as _;
use ktstr_scenario::{PROGRAMS, Payload, on_path};
use ktstr_verdict::{HarnessFault, KernelUnavailable};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Host files and the paths they get in the guest: payloads' programs and files, and what the test names by itself.
///
/// # Errors
/// [`KernelUnavailable`], which is a skip, for a program that this host lacks, with its package; a [`HarnessFault`] for what
/// cannot run in a guest.
pub fn files(entry: &KtstrTestEntry) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut files = BTreeMap::new();
    let mut add = |guest: String, host: PathBuf| match files.insert(guest.clone(), host.clone()) {
        Some(other) if other != host => Err(anyhow::Error::new(HarnessFault::new(format!(
            "{} and {} would both be {guest} in the guest: rename one",
            other.display(),
            host.display()
        )))),
        _ => Ok(()),
    };
    for payload in entry.payloads() {
        let host = program(payload.binary, payload.package).with_context(|| format!("payload `{}`", payload.name))?;
        check_program(payload, &host)?;
        add(packed(&host), host)?;
        for file in payload.files {
            add((*file).to_owned(), PathBuf::from(file))?;
        }
    }
    for file in entry.extra_include_files {
        if file.contains('/') {
            add((*file).to_owned(), PathBuf::from(file))?;
        } else {
            let host = program(file, None).context("extra_include_files")?;
            add(packed(&host), host)?;
        }
    }
    Ok(files.into_iter().map(|(guest, host)| (host, guest)).collect())
}

fn packed(host: &Path) -> String {
    let name = host.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{PROGRAMS}/{name}")
}

/// A name on the PATH, or the file itself.
fn program(binary: &str, package: Option<&str>) -> anyhow::Result<PathBuf> {
    let path = Path::new(binary);
    let found = if path.is_absolute() { Some(path.to_owned()).filter(|p| p.is_file()) } else { on_path(binary) };
    found.ok_or_else(|| {
        let place = if path.is_absolute() { "is not there" } else { "is not on PATH" };
        let fix = package.map_or_else(
            || "install the package that brings it".to_owned(),
            |package| format!("apt-get install {package}"),
        );
        anyhow::Error::new(KernelUnavailable::new(format!("the program `{binary}` {place}"), fix))
    })
}

/// The guest has no interpreter for a script but one that is packed as well.
fn check_program(payload: &Payload, host: &Path) -> anyhow::Result<()> {
    let mut head = [0; 2];
    let script = std::fs::File::open(host).and_then(|mut f| f.read_exact(&mut head)).is_ok() && head == *b"#!";
    if !script {
        return Ok(());
    }
    Err(anyhow::Error::new(HarnessFault::new(format!(
        "payload `{}`: {} is a script; make its interpreter the `binary`, and name the script in `args` and `files`",
        payload.name,
        host.display()
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::{HostClass, classify_host_error};

    fn entry(payload: Payload, extra: &'static [&'static str]) -> KtstrTestEntry {
        let payload: &'static Payload = Box::leak(Box::new(payload));
        KtstrTestEntry { payload: Some(payload), extra_include_files: extra, ..KtstrTestEntry::DEFAULT }
    }

    fn of(binary: &'static str) -> Payload {
        Payload { name: "p", binary, ..Payload::DEFAULT }
    }

    #[test]
    fn programs_are_packed_in_one_place_and_files_where_they_are() {
        let payload = Payload { files: &["/etc/hostname"], ..of("true") };
        let files = files(&entry(payload, &["/etc/passwd", "sh"])).unwrap();
        let guests: Vec<&str> = files.iter().map(|(_, guest)| &**guest).collect();
        assert_eq!(guests, ["/etc/hostname", "/etc/passwd", "/payload/sh", "/payload/true"]);
        assert!(files.iter().all(|(host, _)| host.is_absolute()));
    }

    #[test]
    fn a_program_that_is_missing_is_a_skip_with_its_package_and_a_failure_without_skips() {
        let payload = Payload { package: Some("rt-tests"), ..of("no-such-program") };
        for (payload, words) in [(payload, "apt-get install rt-tests"), (of("/no/such/program"), "is not there")] {
            let error = files(&entry(payload, &[])).unwrap_err();
            match classify_host_error(&error, false) {
                HostClass::Skip { reason } => assert!(reason.contains(words), "{reason}"),
                other => panic!("{other:?}"),
            }
            assert!(matches!(classify_host_error(&error, true), HostClass::Fail { .. }));
        }
    }

    #[test]
    fn a_script_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("load");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let error = files(&entry(of(script.to_string_lossy().into_owned().leak()), &[])).unwrap_err();
        assert!(error.is::<HarnessFault>() && error.to_string().contains("is a script"), "{error}");
    }

    #[test]
    fn two_programs_of_one_file_name_are_told_apart_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("true");
        std::fs::write(&other, "\x7fELF").unwrap();
        let workload: &'static Payload =
            Box::leak(Box::new(Payload { name: "q", ..of(other.to_string_lossy().into_owned().leak()) }));
        let workloads: &'static [&'static Payload] = Box::leak(Box::new([workload]));
        let error = files(&KtstrTestEntry { workloads, ..entry(of("true"), &[]) }).unwrap_err();
        assert!(error.to_string().contains("would both be /payload/true"), "{error}");
    }
}
