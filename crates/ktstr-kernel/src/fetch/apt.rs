//! The machine's own apt: which archive it uses, and transport with its mirror, proxy and authentication.

use super::error::FetchError;
use super::index::ARCH;
use super::series::{Series, parse_series};
use super::target::{Target, parse_targets};
use crate::progress::Progress;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const HELPER: &str = "/usr/lib/apt/apt-helper";
const RELEASES: &str = "/usr/share/distro-info/debian.csv";
/// How often the growing file is measured.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The releases of the distribution, oldest first.
pub(super) fn series() -> Result<Vec<Series>, FetchError> {
    let text = std::fs::read_to_string(RELEASES)
        .map_err(|_| FetchError::MissingTool { what: RELEASES.to_owned(), package: "distro-info-data" })?;
    Ok(parse_series(&text))
}

/// The archive apt is configured for.
pub(super) fn target(series: &[Series]) -> Result<Target, FetchError> {
    let output = run(Command::new("apt-get").args(["indextargets"]), "apt-get", "apt")?;
    parse_targets(&String::from_utf8_lossy(&output.stdout), series, ARCH).ok_or(FetchError::NoArchive)
}

/// Downloads `url` into `file`; `size` is what progress counts towards, 0 when unknown.
pub(super) fn download(url: &str, file: &Path, size: u64, progress: &dyn Progress) -> Result<(), FetchError> {
    let done = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                progress.bytes(std::fs::metadata(file).map_or(0, |m| m.len()), size);
                std::thread::sleep(LOOK_EVERY);
            }
        });
        let output = run(Command::new(HELPER).arg("download-file").arg(url).arg(file), HELPER, "apt");
        done.store(true, Relaxed);
        output
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(failure(url, &String::from_utf8_lossy(&output.stderr)))
}

/// What apt's words mean.
fn failure(url: &str, said: &str) -> FetchError {
    let url = url.to_owned();
    let line = said.lines().find(|l| l.starts_with("E:")).unwrap_or(said).trim().to_owned();
    let is = |words: &[&str]| words.iter().any(|w| said.contains(w));
    if is(&["404"]) {
        FetchError::NotFound { url }
    } else if is(&[
        "Could not resolve",
        "Temporary failure",
        "Could not connect",
        "Cannot initiate",
        "timed out",
        "Unable to connect",
    ]) {
        FetchError::Offline { url, said: line }
    } else {
        FetchError::Apt { url, said: line }
    }
}

/// Runs a program of the distribution with plain messages.
pub(super) fn run(command: &mut Command, what: &str, package: &'static str) -> Result<Output, FetchError> {
    command
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .map_err(|_| FetchError::MissingTool { what: what.to_owned(), package })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_s_words_are_told_apart() {
        let url = "u";
        assert!(matches!(failure(url, "E: Failed to fetch u  404  Not Found"), FetchError::NotFound { .. }));
        assert!(failure(url, "E: Failed to fetch u  Could not resolve 'host'").is_offline());
        assert!(matches!(failure(url, "E: something else"), FetchError::Apt { .. }));
    }
}
