//! What `apt-get indextargets` says about the archive that this machine uses.

use super::series::Series;
use super::stanza::stanzas;

/// The machine's own Debian release on its own mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The mirror's root, as apt writes it, without a slash at the end.
    pub(super) site: String,
    /// The release's codename.
    pub(super) codename: String,
    /// The archive component that has kernels: `main`.
    pub(super) component: String,
}

/// The first package list of a Debian release proper: not its updates, not security, not another vendor's archive.
pub(super) fn parse_targets(text: &str, series: &[Series], arch: &str) -> Option<Target> {
    stanzas(text).find_map(|s| {
        let codename = s.get("Codename")?;
        let wanted = s.get("Created-By")? == "Packages"
            && s.get("Origin")? == "Debian"
            && s.get("Label")? == "Debian"
            && s.get("Component")? == "main"
            && s.get("Architecture")? == arch
            && series.iter().any(|known| known.codename == codename);
        wanted.then_some(())?;
        let site = s.get("Site").or_else(|| s.get("Repo-URI"))?.trim_end_matches('/');
        Some(Target { site: site.to_owned(), codename: codename.to_owned(), component: s.get("Component")?.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(origin: &str, label: &str, codename: &str, site: &str) -> String {
        format!(
            "MetaKey: main/binary-amd64/Packages\nCodename: {codename}\nLabel: {label}\nOrigin: {origin}\nArchitecture: amd64\nComponent: main\nCreated-By: Packages\nSite: {site}\n\n"
        )
    }

    fn series() -> Vec<Series> {
        super::super::series::parse_series(
            "version,codename,series,created,release\n12,Bookworm,bookworm,2021-08-14,2023-06-10\n",
        )
    }

    #[test]
    fn the_release_itself_is_chosen_among_vendors_updates_and_security() {
        let text = [
            stanza("Vendor", "Vendor", "bookworm", "https://vendor.example/apt"),
            stanza("Debian", "Debian", "bookworm-updates", "http://mirror.example/debian"),
            stanza("Debian", "Debian-Security", "bookworm-security", "http://mirror.example/debian-security"),
            stanza("Debian", "Debian", "bookworm", "http://mirror.example/debian/"),
        ]
        .concat();
        let target = parse_targets(&text, &series(), "amd64").expect("one");
        assert_eq!(target.site, "http://mirror.example/debian");
        assert_eq!((target.codename.as_str(), target.component.as_str()), ("bookworm", "main"));
    }

    #[test]
    fn without_a_debian_archive_there_is_none() {
        let vendor = stanza("Vendor", "Vendor", "bookworm", "https://vendor.example/apt");
        assert_eq!(parse_targets(&vendor, &series(), "amd64"), None);
        assert_eq!(parse_targets("", &series(), "amd64"), None);
    }
}
