//! Kernels that an archive offers, put together from its packages.

use super::index::Package;
use crate::version::decompose_version_for_compare;
use std::collections::BTreeMap;

/// Debian's kernels of this flavour have sched_ext from this version on; 6.1 and 6.12 were tried and do not.
const SCHED_EXT_SINCE: &str = "6.16";

/// One kernel that can be fetched, or could if the archive still had all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Upstream version: `6.18.15`, `7.3-rc7`.
    pub version: String,
    /// `uname -r`: `6.18.15+deb13-cloud-amd64`.
    pub release: String,
    /// The suite that it was found in.
    pub suite: String,
    /// Its packages.
    pub layout: Layout,
    /// The package with its modules, when that is another one.
    pub modules: Option<Package>,
}

/// Which packages hold image and configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One `linux-image-*` with everything.
    Single(Package),
    /// `linux-binary-*` with the image, `linux-base-*` with the configuration.
    Split {
        /// Holds the image.
        binary: Package,
        /// Holds the configuration.
        base: Package,
    },
    /// Something is no longer there.
    Incomplete {
        /// The package that is listed as needed and is not in the index.
        missing: String,
    },
}

impl Candidate {
    /// What has to be downloaded for image and configuration.
    pub fn packages(&self) -> Vec<&Package> {
        match &self.layout {
            Layout::Single(image) => vec![image],
            Layout::Split { binary, base } => vec![binary, base],
            Layout::Incomplete { .. } => Vec::new(),
        }
    }

    /// The package that holds the configuration.
    pub fn config_package(&self) -> Option<&Package> {
        self.packages().pop()
    }

    /// Whether all of it is there.
    pub fn is_complete(&self) -> bool {
        !matches!(self.layout, Layout::Incomplete { .. })
    }

    /// Whether its version lets one expect sched_ext; only its configuration can tell.
    pub fn expects_sched_ext(&self) -> bool {
        decompose_version_for_compare(&self.version) >= decompose_version_for_compare(SCHED_EXT_SINCE)
    }

    /// Whether it is a release candidate, which is only taken when it is asked for.
    pub fn is_rc(&self) -> bool {
        self.version.contains("-rc")
    }

    /// The release without the flavour: `6.18.15+deb13`, unique where the version is not.
    pub fn revision(&self) -> &str {
        let cut = self.release.rfind("-cloud-").unwrap_or(self.release.len());
        &self.release[..cut]
    }
}

/// The kernels of one suite's packages, oldest first.
pub(super) fn candidates(packages: &[Package], suite: &str) -> Vec<Candidate> {
    let mut by_name: BTreeMap<&str, &Package> = BTreeMap::new();
    for package in packages {
        let newest = by_name.entry(&package.name).or_insert(package);
        if package.version > newest.version {
            *newest = package;
        }
    }
    let get = |name: String| by_name.get(name.as_str()).map(|p| (*p).clone());
    let mut found = BTreeMap::new();
    for package in by_name.values() {
        let Some(release) = release_of(&package.name) else { continue };
        // A signed one stands for its unsigned twin; which of them comes first here does not matter.
        let image = get(format!("linux-image-{release}"));
        let binary = get(format!("linux-binary-{release}")).or_else(|| get(format!("linux-binary-unsigned-{release}")));
        let base = get(format!("linux-base-{release}"));
        let is_split =
            binary.is_some() || image.as_ref().is_some_and(|i| i.depends.contains(&format!("linux-binary-{release}")));
        let single = image.or_else(|| get(format!("linux-image-{release}-unsigned")));
        let layout = match (is_split, single, binary, base) {
            (true, _, Some(binary), Some(base)) => Layout::Split { binary, base },
            (true, _, None, _) => Layout::Incomplete { missing: format!("linux-binary-{release}") },
            (true, _, _, None) => Layout::Incomplete { missing: format!("linux-base-{release}") },
            (false, Some(image), ..) => Layout::Single(image),
            (false, None, ..) => continue,
        };
        let candidate = Candidate {
            version: upstream_version(&package.version),
            release: release.to_owned(),
            suite: suite.to_owned(),
            layout,
            modules: get(format!("linux-modules-{release}")),
        };
        found.insert(release.to_owned(), candidate);
    }
    let mut found: Vec<Candidate> = found.into_values().collect();
    sort(&mut found);
    found
}

/// Oldest first; release candidates before their release.
pub(super) fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by_cached_key(|c| decompose_version_for_compare(&c.version)); // stable: suites keep their order
}

/// The release in the name of a package that holds an image.
fn release_of(name: &str) -> Option<&str> {
    let name = name.strip_suffix("-unsigned").unwrap_or(name);
    ["linux-image-", "linux-binary-unsigned-", "linux-binary-"].iter().find_map(|p| name.strip_prefix(p))
}

/// `6.18.15-1~bpo13+1` → `6.18.15`; `7.3~rc7-1~exp1` → `7.3-rc7`; an epoch is dropped.
pub(super) fn upstream_version(package_version: &str) -> String {
    let no_epoch = package_version.split_once(':').map_or(package_version, |(_, v)| v);
    let upstream = no_epoch.rsplit_once('-').map_or(no_epoch, |(v, _)| v);
    upstream.replace('~', "-")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::index::parse_packages;
    use super::super::index::tests::stanza;
    use super::*;
    use proptest::prelude::*;

    fn single(version: &str) -> String {
        stanza(&format!("linux-image-{version}+deb13-cloud-amd64"), &format!("{version}-1~bpo13+1"), "kmod")
    }

    fn split(version: &str, parts: &[&str]) -> String {
        let release = format!("{version}+deb13-cloud-amd64");
        let depends = format!("linux-base-{release} (= 1), linux-binary-{release} (= 1)");
        parts
            .iter()
            .map(|p| stanza(&format!("linux-{p}-{release}"), &format!("{version}-1~bpo13+1"), &depends))
            .collect()
    }

    /// An archive with both layouts, one kernel that lost a part, an old one and a release candidate.
    pub(crate) fn archive() -> Vec<Candidate> {
        let text = [
            single("6.12.95"),
            single("6.18.9"),
            single("6.18.15"),
            split("7.0.4", &["image", "binary"]),
            split("7.2.12", &["image", "binary", "base", "modules"]),
            split("7.3.4", &["image", "binary", "base", "modules"]),
            stanza("linux-binary-7.4-cloud-amd64", "7.4~rc7-1~exp1", ""),
            stanza("linux-base-7.4-cloud-amd64", "7.4~rc7-1~exp1", ""),
        ]
        .concat();
        candidates(&parse_packages(&text), "trixie-backports")
    }

    #[test]
    fn both_layouts_are_put_together_oldest_first() {
        let all = archive();
        let versions: Vec<&str> = all.iter().map(|c| c.version.as_str()).collect();
        assert_eq!(versions, ["6.12.95", "6.18.9", "6.18.15", "7.0.4", "7.2.12", "7.3.4", "7.4-rc7"]);
        assert!(matches!(&all[2].layout, Layout::Single(p) if p.name.starts_with("linux-image-6.18.15")));
        assert_eq!(all[2].revision(), "6.18.15+deb13");
        assert!(matches!(&all[5].layout, Layout::Split { base, .. } if base.name.starts_with("linux-base-7.3.4")));
        assert!(all[5].modules.is_some() && all[2].modules.is_none());
        assert!(all[6].is_rc() && !all[5].is_rc());
    }

    #[test]
    fn a_kernel_that_lost_a_part_names_it() {
        let all = archive();
        assert_eq!(all[3].layout, Layout::Incomplete { missing: "linux-base-7.0.4+deb13-cloud-amd64".into() });
        assert!(!all[3].is_complete() && all[3].packages().is_empty());
    }

    #[test]
    fn sched_ext_is_expected_from_6_16_on() {
        let expected: Vec<bool> = archive().iter().map(Candidate::expects_sched_ext).collect();
        assert_eq!(expected, [false, true, true, true, true, true, true]);
    }

    #[test]
    fn a_signed_package_is_preferred_and_an_unsigned_one_is_better_than_none() {
        let release = "6.18.5+deb13-cloud-amd64";
        let unsigned = stanza(&format!("linux-image-{release}-unsigned"), "6.18.5-1", "");
        let signed = stanza(&format!("linux-image-{release}"), "6.18.5-1", "");
        let name = |text: &str| candidates(&parse_packages(text), "s")[0].packages()[0].name.clone();
        assert_eq!(name(&format!("{unsigned}{signed}")), format!("linux-image-{release}"));
        assert_eq!(name(&unsigned), format!("linux-image-{release}-unsigned"));
    }

    #[test]
    fn versions_lose_epoch_and_revision() {
        for (package, upstream) in
            [("6.18.15-1~bpo13+1", "6.18.15"), ("7.3~rc7-1~exp1", "7.3-rc7"), ("1:6.1.2-3", "6.1.2"), ("6.18", "6.18")]
        {
            assert_eq!(upstream_version(package), upstream);
        }
    }

    proptest! {
        #[test]
        fn any_version_text_is_taken_without_panic(text in "[0-9a-z.:~+-]{0,20}") {
            let _ = upstream_version(&text);
        }
    }
}
