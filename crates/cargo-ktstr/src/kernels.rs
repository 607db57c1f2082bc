//! From what people call kernels to the kernels themselves.

use anyhow::{Context as _, Result, bail};
use ktstr_kernel::cache::{Cache, CacheEntry};
use ktstr_kernel::find::{FoundKernel, path_label};
use ktstr_kernel::{Console, KernelId, decompose_version_for_compare, fetch, sanitize_kernel_label};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A kernel that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// What test names and records call it.
    pub label: String,
    /// Image, directory or cache entry.
    pub path: PathBuf,
}

/// All that the requests mean, each once and in their order; what is missing is fetched.
///
/// # Errors
/// A request that means nothing, or nothing that can be had; two kernels that test names could not tell apart.
pub fn resolve(requests: &[String]) -> Result<Vec<Kernel>> {
    let mut kernels: Vec<Kernel> = Vec::new();
    // All are read before the first is fetched: a slip in the last costs no download.
    let parsed = requests
        .iter()
        .map(|text| KernelId::parse(text).with_context(|| format!("--kernel {text}")))
        .collect::<Result<Vec<_>>>()?;
    for (id, text) in parsed.iter().zip(requests) {
        for kernel in resolve_one(id, text).with_context(|| format!("--kernel {text}"))? {
            if !kernels.iter().any(|known| known.path == kernel.path) {
                kernels.push(kernel);
            }
        }
    }
    distinct(&kernels)?;
    Ok(kernels)
}

fn distinct(kernels: &[Kernel]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for kernel in kernels {
        let sanitized = sanitize_kernel_label(&kernel.label);
        if let Some(other) = seen.insert(sanitized.as_str().to_owned(), kernel) {
            bail!(
                "{} and {} would both be `{sanitized}` in test names; run them one after the other",
                other.path.display(),
                kernel.path.display()
            );
        }
    }
    Ok(())
}

fn resolve_one(id: &KernelId, text: &str) -> Result<Vec<Kernel>> {
    match id {
        KernelId::Path(path) => from_path(path).map(|k| vec![k]),
        KernelId::Range { start, end } => range(start, end),
        KernelId::CacheKey(key) => match Cache::open()?.entry(key) {
            Some(entry) => Ok(vec![cached(&entry)]),
            None => fetched(text)
                .map(|k| vec![k])
                .context("no cached kernel has this name either; `cargo ktstr kernel list` shows those there are"),
        },
        KernelId::Git { .. } => bail!("git sources are not built here: clone and make it, then give --kernel DIR"),
        _ => fetched(text).map(|k| vec![k]),
    }
}

fn from_path(path: &Path) -> Result<Kernel> {
    let found = FoundKernel::from_path(path)?;
    let label = if found.source == "cache" { found.label } else { path_label(path) };
    Ok(Kernel { label, path: path.canonicalize()? })
}

fn cached(entry: &CacheEntry) -> Kernel {
    Kernel { label: entry.label().to_owned(), path: entry.dir().to_owned() }
}

fn fetched(text: &str) -> Result<Kernel> {
    let progress = Console::new();
    let entry = fetch::fetch(text, &progress);
    progress.finish();
    Ok(cached(&entry?))
}

/// The newest of each series with sched_ext: from the archive, or, when it cannot be reached, from the cache alone.
fn range(start: &str, end: &str) -> Result<Vec<Kernel>> {
    let progress = Console::new();
    let offered = fetch::list(&progress);
    progress.finish();
    let mut versions: Vec<String> = Cache::open()?
        .entries()?
        .iter()
        .filter(|e| e.metadata().sched_ext)
        .map(|e| e.metadata().version.clone())
        .collect();
    match offered {
        Ok(offered) => {
            let with = |k: &fetch::Listed| matches!(k.sched_ext, fetch::SchedExt::Yes | fetch::SchedExt::Expected);
            versions.extend(offered.into_iter().filter(with).map(|k| k.version));
        }
        Err(e) if e.is_offline() => {
            eprintln!("ktstr: WARNING: {start}..{end}: only cached kernels are looked at: {e}");
        }
        Err(e) => return Err(e.into()),
    }
    let chosen = newest_of_each_series(start, end, &versions);
    if chosen.is_empty() {
        bail!("no kernel with sched_ext is in this range; `cargo ktstr kernel fetch --list` shows what there is");
    }
    chosen.iter().map(|version| fetched(version)).collect()
}

/// Releases from `start` to `end`, both included, the newest for each `MAJOR.MINOR`, oldest first.
fn newest_of_each_series(start: &str, end: &str, versions: &[String]) -> Vec<String> {
    let (first, last) = (decompose_version_for_compare(start), decompose_version_for_compare(end));
    let mut newest = BTreeMap::new();
    for version in versions.iter().collect::<BTreeSet<_>>() {
        let Some(key) = decompose_version_for_compare(version) else { continue };
        if first <= Some(key) && Some(key) <= last && !version.contains("-rc") {
            let held = newest.entry((key.0, key.1)).or_insert((key, version));
            *held = (*held).max((key, version));
        }
    }
    newest.into_values().map(|(_, version)| version.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_the_newest_of_each_series_in_it() {
        let have = ["6.15.9", "6.16.2", "6.16.10", "6.18.15", "7.1", "7.1.2", "7.3-rc1", "7.2"].map(str::to_owned);
        assert_eq!(newest_of_each_series("6.16", "7.1", &have), ["6.16.10", "6.18.15", "7.1"]);
        assert_eq!(newest_of_each_series("7.3", "7.9", &have), Vec::<String>::new());
    }

    #[test]
    fn an_inverted_range_is_answered_with_the_swap_before_anything_is_fetched() {
        let text = format!("{:#}", resolve(&["6.18".into(), "7.1..6.16".into()]).unwrap_err());
        assert!(text.contains("did you mean 6.16..7.1?"), "{text}");
    }

    #[test]
    fn kernels_that_names_cannot_tell_apart_are_refused() {
        let kernel = |label: &str, path: &str| Kernel { label: label.into(), path: path.into() };
        let text = distinct(&[kernel("6.18", "/a"), kernel("6_18", "/b")]).unwrap_err().to_string();
        assert!(text.contains("kernel_6_18") && text.contains("one after the other"), "{text}");
    }
}
