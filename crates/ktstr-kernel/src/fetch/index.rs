//! A package index, as far as it is about kernels.

use super::release::is_sha256;
use super::stanza::{Stanza, stanzas};
use serde::{Deserialize, Serialize};

/// The kernels of this flavour are small and have what a guest needs built in.
pub(super) const FLAVOUR: &str = "cloud";
/// The architecture of every kernel here, in Debian's spelling.
pub(super) const ARCH: &str = "amd64";

/// One package of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// `linux-image-6.18.15+deb13-cloud-amd64`.
    pub name: String,
    /// `6.18.15-1~bpo13+1`.
    pub version: String,
    /// Names and versions it depends on, as written.
    pub depends: String,
    /// Path below the mirror's root.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// In lower-case hex.
    pub sha256: String,
}

/// The packages of a `Packages` file that can be a part of a kernel of our flavour. A stanza that lacks a field is left out.
pub(super) fn parse_packages(text: &str) -> Vec<Package> {
    let suffix = format!("-{FLAVOUR}-{ARCH}");
    stanzas(text)
        .filter(|s| s.get("Package").is_some_and(|name| is_kernel_part(name, &suffix)))
        .filter_map(package)
        .collect()
}

/// The package of this name, if the text has it whole.
pub(super) fn find_package(text: &str, name: &str) -> Option<Package> {
    stanzas(text).find(|s| s.get("Package") == Some(name)).and_then(package)
}

fn is_kernel_part(name: &str, suffix: &str) -> bool {
    let name = name.strip_suffix("-unsigned").unwrap_or(name);
    let prefixes = ["linux-image-", "linux-binary-unsigned-", "linux-binary-", "linux-base-", "linux-modules-"];
    let release = prefixes.iter().find_map(|p| name.strip_prefix(p));
    // A digit: packages without a release in their name are empty and only depend on the newest.
    release.is_some_and(|r| r.ends_with(suffix) && r.starts_with(|c: char| c.is_ascii_digit()))
}

fn package(s: Stanza<'_>) -> Option<Package> {
    let field = |name| s.get(name).map(str::to_owned);
    Some(Package {
        name: field("Package")?,
        version: field("Version")?,
        depends: field("Depends").unwrap_or_default(),
        filename: field("Filename").filter(|f| is_safe_path(f))?,
        size: s.get("Size")?.parse().ok()?,
        sha256: field("SHA256").filter(|h| is_sha256(h))?,
    })
}

/// A relative path that stays below the mirror's root and needs no quoting in a URL.
pub(super) fn is_safe_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/+~._-:%".contains(&b);
    !path.starts_with('/') && !path.split('/').any(|part| part == "..") && path.bytes().all(plain)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A stanza as an index has it.
    pub(crate) fn stanza(name: &str, version: &str, depends: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nDepends: {depends}\nDescription: text\n more: text\nFilename: pool/main/l/linux/{name}_{version}_amd64.deb\nSize: 1000\nSHA256: {}\n\n",
            crate::cache::sha256_hex(name.as_bytes())
        )
    }

    #[test]
    fn only_parts_of_kernels_of_the_flavour_are_kept() {
        let names = [
            "linux-image-6.18.15+deb13-cloud-amd64",
            "linux-image-6.18.15+deb13-amd64",
            "linux-image-6.18.15+deb13-cloud-amd64-dbg",
            "linux-image-6.18.15+deb13-cloud-amd64-unsigned",
            "linux-headers-7.3.4+deb13-cloud-amd64",
            "linux-binary-7.3.4+deb13-cloud-amd64",
            "linux-base-7.3.4+deb13-cloud-amd64",
            "linux-image-cloud-amd64",
            "bash",
        ];
        let text: String = names.iter().map(|n| stanza(n, "1-1", "")).collect();
        let kept: Vec<String> = parse_packages(&text).into_iter().map(|p| p.name).collect();
        assert_eq!(kept, [names[0], names[3], names[5], names[6]]);
    }

    #[test]
    fn a_package_is_found_by_its_whole_name() {
        let text: String =
            ["linux-image-6.18-cloud-amd64", "linux-image-6.18-amd64"].map(|n| stanza(n, "6.18-1", "")).concat();
        assert_eq!(find_package(&text, "linux-image-6.18-amd64").expect("one").name, "linux-image-6.18-amd64");
        assert_eq!(find_package(&text, "linux-image-6.18"), None);
    }

    #[test]
    fn a_path_that_leaves_the_mirror_or_a_short_hash_drops_the_package() {
        let good = stanza("linux-image-6.18-cloud-amd64", "6.18-1", "");
        assert_eq!(parse_packages(&good).len(), 1);
        assert!(parse_packages(&good.replace("pool/main", "../main")).is_empty());
        assert!(parse_packages(&good.replace("pool/main", "/etc")).is_empty());
        assert!(parse_packages(&good.replace("SHA256: ", "SHA256: zz")).is_empty());
        assert!(parse_packages(&good.replace("Size: 1000", "Size: many")).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(Package: linux-image-[a-z0-9.+-]{0,20}cloud-amd64\n|[ -~\n]{0,60}){0,6}") {
            let _ = parse_packages(&text);
        }
    }
}
