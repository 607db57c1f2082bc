//! What the archive offers, suite by suite: every kernel, or one package by its name.

use super::apt::{download, series, target};
use super::candidate::{Candidate, candidates, sort};
use super::date::day_of;
use super::error::FetchError;
use super::index::{Package, find_package, parse_packages};
use super::release::parse_release;
use super::series::suites;
use super::source::find_source;
use super::target::Target;
use super::verify::{check_sha256, signed_text};
use crate::progress::Progress;
use std::io::Read as _;
use std::ops::ControlFlow::{self, Break, Continue};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where a suite keeps the list of its packages, below the component.
const BINARIES: &str = "binary-amd64/Packages.xz";
/// Where it keeps that of its sources.
const SOURCES: &str = "source/Sources.xz";

/// Kernels, and the archive they come from.
pub(super) struct Catalogue {
    pub target: Target,
    pub kernels: Vec<Candidate>,
}

/// Reads the lists of the machine's own suite and of newer ones, and puts the kernels in them together.
pub(super) fn read(work: &Path, progress: &dyn Progress) -> Result<Catalogue, FetchError> {
    let mut kernels = Vec::new();
    let target = each_suite(BINARIES, work, progress, |suite, text| {
        kernels.extend(candidates(&parse_packages(text), suite));
        Continue(())
    })?;
    sort(&mut kernels);
    Ok(Catalogue { target, kernels })
}

/// The package of this name from the first suite that has it, and the archive it comes from.
pub(super) fn find(name: &str, work: &Path, progress: &dyn Progress) -> Result<(Target, Option<Package>), FetchError> {
    let mut found = None;
    let target = each_suite(BINARIES, work, progress, |_, text| {
        found = find_package(text, name);
        if found.is_some() { Break(()) } else { Continue(()) }
    })?;
    Ok((target, found))
}

/// The upstream archive of the source package of this name, from the first suite that has it.
pub(super) fn find_upstream(
    name: &str,
    work: &Path,
    progress: &dyn Progress,
) -> Result<(Target, Option<Package>), FetchError> {
    let mut found = None;
    let target = each_suite(SOURCES, work, progress, |_, text| {
        found = find_source(text, name);
        if found.is_some() { Break(()) } else { Continue(()) }
    })?;
    Ok((target, found))
}

/// Calls `take` with the name and the list of each suite until it has enough, each list checked against its signature.
///
/// A suite that the mirror does not have, or that is signed by keys of the future, is left out with a note.
fn each_suite(
    list: &str,
    work: &Path,
    progress: &dyn Progress,
    mut take: impl FnMut(&str, &str) -> ControlFlow<()>,
) -> Result<Target, FetchError> {
    let series = series()?;
    let target = target(&series)?;
    for suite in suites(&series, &target.codename, &day_of(unix_now())) {
        match read_suite(&target, &suite, list, work, progress) {
            Ok(text) => {
                if take(&suite, &text).is_break() {
                    break;
                }
            }
            Err(e @ (FetchError::NotFound { .. } | FetchError::UnknownKey { .. } | FetchError::BadRelease { .. })) => {
                progress.note(&format!("{suite} is left out: {e}"));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(target)
}

fn read_suite(
    target: &Target,
    suite: &str,
    list: &str,
    work: &Path,
    progress: &dyn Progress,
) -> Result<String, FetchError> {
    progress.step(&format!("package list of {suite}"));
    let base = format!("{}/dists/{suite}", target.site.trim_end_matches('/'));
    let index = format!("{}/{list}", target.component);
    let signed = work.join(format!("{suite}.InRelease"));
    download(&format!("{base}/InRelease"), &signed, 0, progress)?;
    let text = signed_text(suite, &signed)?;
    let release = parse_release(&text, suite, &index, Some(unix_now()))?;
    let path = if release.by_hash {
        let (dir, _) = index.rsplit_once('/').unwrap_or_default();
        format!("{dir}/by-hash/SHA256/{}", release.index_sha256)
    } else {
        index
    };
    let packed = work.join(format!("{suite}.list.xz"));
    download(&format!("{base}/{path}"), &packed, release.index_size, progress)?;
    check_sha256(&format!("package list of {suite}"), &packed, &release.index_sha256)?;
    let bad = |e: std::io::Error| FetchError::Package { path: packed.clone(), why: e.to_string() };
    let mut packages = String::new();
    xz2::read::XzDecoder::new(std::fs::File::open(&packed).map_err(bad)?).read_to_string(&mut packages).map_err(bad)?;
    Ok(packages)
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
