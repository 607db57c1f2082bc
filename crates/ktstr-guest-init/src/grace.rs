//! Grace periods in a hurry while the machine is set up: mounting cgroups and bringing an interface up wait for RCU, some
//! milliseconds each time, with nothing on any CPU. A test begins with the kernel's own way of it.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::PathBuf;

/// Whether grace periods are expedited (kernel: Documentation/admin-guide/kernel-parameters.txt, `rcupdate.rcu_expedited`, and
/// kernel/ksysfs.c).
const EXPEDITED: &str = "/sys/kernel/rcu_expedited";

/// They are expedited until [`Hurry::end`].
#[must_use]
pub struct Hurry {
    file: PathBuf,
    before: Option<String>,
}

impl Hurry {
    /// From now on; a kernel that cannot is as slow as it is.
    pub fn begin() -> Self {
        Self::with(PathBuf::from(EXPEDITED))
    }

    fn with(file: PathBuf) -> Self {
        let before = fs::read_to_string(&file).ok().map(|text| text.trim().to_owned());
        let before = before.filter(|_| fs::write(&file, "1").is_ok());
        Self { file, before }
    }

    /// As it was before.
    ///
    /// # Errors
    /// The kernel does not take it back: a test would run on another kernel than the one it asked for.
    pub fn end(self) -> Result<()> {
        let Some(before) = self.before else { return Ok(()) };
        fs::write(&self.file, before).with_context(|| format!("failed to write {}", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_had_before_is_what_it_has_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rcu_expedited");
        for before in ["0", "1"] {
            fs::write(&file, format!("{before}\n")).unwrap();
            let hurry = Hurry::with(file.clone());
            assert_eq!(fs::read_to_string(&file).unwrap(), "1");
            hurry.end().unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), before);
        }
    }

    #[test]
    fn a_kernel_that_cannot_is_left_alone_and_one_that_does_not_take_it_back_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rcu_expedited");
        Hurry::with(file.clone()).end().unwrap();
        assert!(!file.exists());
        fs::write(&file, "0\n").unwrap();
        let hurry = Hurry::with(file.clone());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(hurry.end().is_err());
    }
}
