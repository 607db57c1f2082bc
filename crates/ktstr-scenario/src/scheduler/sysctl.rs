//! Files below /proc/sys that a scheduler wants set.

use anyhow::{Context as _, Result, ensure};
use std::path::Path;

/// Writes each and reads it back: the kernel takes some values only in part.
pub fn write_all(root: &Path, sysctls: &[(String, String)]) -> Result<()> {
    for (name, value) in sysctls {
        let path = root.join(name.replace('.', "/"));
        std::fs::write(&path, value).with_context(|| format!("failed to set sysctl {name}={value}"))?;
        let now = std::fs::read_to_string(&path).with_context(|| format!("failed to read sysctl {name} back"))?;
        // A list comes back with tabs.
        ensure!(
            now.split_ascii_whitespace().eq(value.split_ascii_whitespace()),
            "sysctl {name} was set to `{value}` and is `{}`",
            now.trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("kernel")).unwrap();
        let one = |name: &str| write_all(dir.path(), &[(name.to_owned(), "1 2".to_owned())]);
        one("kernel.a").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("kernel/a")).unwrap(), "1 2");
        assert!(one("nowhere.b").unwrap_err().to_string().contains("sysctl nowhere.b=1 2"));
    }

    #[test]
    fn a_value_that_was_not_taken_is_an_error() {
        // Takes every byte and reads as nothing.
        let sysctls = [("null".to_owned(), "1".to_owned())];
        let text = write_all(Path::new("/dev"), &sysctls).unwrap_err().to_string();
        assert_eq!(text, "sysctl null was set to `1` and is ``");
    }
}
