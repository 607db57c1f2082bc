//! A kernel from a source tree on this machine, into the cache like any other.

use crate::cache::{Cache, CacheEntry, CacheError, METADATA_SCHEMA, Metadata, publish_dir};
use crate::fetch::{FetchError, write_entry};
use crate::find::path_label;
use crate::image::kernel_release;
use crate::progress::Progress;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the harness needs of a kernel when the tree has no configuration of its own (`x86_64_defconfig` lacks these).
const NEEDED: &str = "CONFIG_BPF_SYSCALL=y\nCONFIG_BPF_JIT=y\nCONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y\n\
    CONFIG_DEBUG_INFO_BTF=y\nCONFIG_SCHED_CLASS_EXT=y\nCONFIG_SCHEDSTATS=y\nCONFIG_PVH=y\n";

/// Without these no machine of the harness comes as far as its test.
const BOOTS: [&str; 9] = [
    "CONFIG_SMP",
    "CONFIG_ACPI",
    "CONFIG_PVH",
    "CONFIG_BLK_DEV_INITRD",
    "CONFIG_SERIAL_8250_CONSOLE",
    "CONFIG_DEVTMPFS",
    "CONFIG_TMPFS",
    "CONFIG_CGROUPS",
    "CONFIG_X86_IOPL_IOPERM",
];

/// Why there is no such kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The directory is something else.
    #[error("{} is not a kernel source tree: it has no {what}; give the directory that holds the kernel's Makefile", path.display())]
    NotATree {
        /// The directory.
        path: PathBuf,
        /// The file that every tree has.
        what: &'static str,
    },
    /// A file that was named cannot be read.
    #[error("failed to read {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// make could not be started.
    #[error("failed to start make: {0}; run `apt-get install make gcc flex bison bc libelf-dev libssl-dev`")]
    NoMake(std::io::Error),
    /// make failed; what it said went to standard error.
    #[error("`make {target}` in {} failed; what it said is above", tree.display())]
    Make {
        /// What was to be made.
        target: String,
        /// Where.
        tree: PathBuf,
    },
    /// The configuration tool took lines out again.
    #[error(
        "the tree does not take {lines} from {}: something that they depend on is not set; see `make menuconfig` in {}",
        fragment.display(), tree.display()
    )]
    Dropped {
        /// The lines.
        lines: String,
        /// The fragment.
        fragment: PathBuf,
        /// The tree.
        tree: PathBuf,
    },
    /// The image is another build's.
    #[error("{} is of kernel {found} and the tree of {wanted}: it is no result of this build", image.display())]
    OtherImage {
        /// The image.
        image: PathBuf,
        /// Its release.
        found: String,
        /// The tree's.
        wanted: String,
    },
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The image cannot be opened up.
    #[error(transparent)]
    Image(#[from] FetchError),
}

/// Builds the tree's kernel and caches it as `path_{name}_{hash of the path}`, replacing an older build of the same tree.
///
/// With a fragment, or in a tree without a `.config`, the configuration is one of ours beside the cache; the tree's own is never
/// changed.
///
/// # Errors
/// [`BuildError`].
pub fn build(tree: &Path, fragment: Option<&Path>, progress: &dyn Progress) -> Result<CacheEntry, BuildError> {
    for what in ["Makefile", "Kconfig"] {
        if !tree.join(what).is_file() {
            return Err(BuildError::NotATree { path: tree.to_owned(), what });
        }
    }
    let tree = tree.canonicalize().map_err(|cause| BuildError::Read { path: tree.to_owned(), cause })?;
    let cache = Cache::open()?;
    let make = Make { config: configuration(&cache, &tree, fragment)?, tree };
    make.configure(fragment, progress)?;
    // Said before the long part.
    let lacking = lacking(&Make::read(&make.config)?);
    if !lacking.is_empty() {
        progress.step(&format!("WARNING: no machine will run on this kernel, which lacks {}", lacking.join(", ")));
    }
    let release = make.answer("kernelrelease")?;
    progress.step(&format!("building kernel {release} in {}", make.tree.display()));
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    make.run(&[&format!("-j{jobs}"), "bzImage"])?;
    let image = make.tree.join(make.answer("image_name")?);
    store(&cache, &make, &release, &image)
}

/// The tree's own when nothing is to be added to it, else a copy.
fn configuration(cache: &Cache, tree: &Path, fragment: Option<&Path>) -> Result<PathBuf, BuildError> {
    let own = tree.join(".config");
    if fragment.is_none() && own.is_file() {
        return Ok(own);
    }
    let dir = cache.dir().join("builds").join(path_label(tree));
    fs::create_dir_all(&dir).map_err(|e| CacheError::io("create", &dir, e))?;
    let config = dir.join("config");
    let begun = if own.is_file() { fs::copy(&own, &config).map(drop) } else { fs::write(&config, "") };
    begun.map_err(|e| CacheError::io("write", &config, e))?;
    Ok(config)
}

/// make in a tree, with one configuration (kernel: Documentation/kbuild/kconfig.rst, `KCONFIG_CONFIG`).
struct Make {
    tree: PathBuf,
    config: PathBuf,
}

impl Make {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("make");
        command.arg("-C").arg(&self.tree).arg("--no-print-directory").args(words).env("KCONFIG_CONFIG", &self.config);
        command.stdin(Stdio::null());
        command
    }

    /// Its output goes where a person reads it, never to standard output.
    fn run(&self, words: &[&str]) -> Result<(), BuildError> {
        let status = self.command(words).stdout(Stdio::from(std::io::stderr())).status().map_err(BuildError::NoMake)?;
        if status.success() { Ok(()) } else { Err(self.failed(words)) }
    }

    fn answer(&self, target: &str) -> Result<String, BuildError> {
        let output = self.command(&["-s", target]).stderr(Stdio::inherit()).output().map_err(BuildError::NoMake)?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() && !text.is_empty() { Ok(text) } else { Err(self.failed(&[target])) }
    }

    fn failed(&self, words: &[&str]) -> BuildError {
        BuildError::Make { target: words.last().copied().unwrap_or_default().to_owned(), tree: self.tree.clone() }
    }

    fn read(path: &Path) -> Result<String, BuildError> {
        fs::read_to_string(path).map_err(|cause| BuildError::Read { path: path.to_owned(), cause })
    }

    fn configure(&self, fragment: Option<&Path>, progress: &dyn Progress) -> Result<(), BuildError> {
        if self.config == self.tree.join(".config") {
            return Ok(());
        }
        progress.step("configuring");
        let wanted = fragment.map(Self::read).transpose()?;
        let mut config = Self::read(&self.config)?;
        if config.is_empty() {
            self.run(&["defconfig"])?;
            config = over(&Self::read(&self.config)?, NEEDED);
        }
        let config = over(&config, wanted.as_deref().unwrap_or_default());
        fs::write(&self.config, config).map_err(|e| CacheError::io("write", &self.config, e))?;
        self.run(&["olddefconfig"])?;
        let (Some(wanted), Some(fragment)) = (wanted, fragment) else { return Ok(()) };
        let lost = dropped(&wanted, &Self::read(&self.config)?);
        if lost.is_empty() {
            return Ok(());
        }
        Err(BuildError::Dropped { lines: lost.join(", "), fragment: fragment.to_owned(), tree: self.tree.clone() })
    }
}

/// A configuration with the lines of a fragment in place of its own: of two for one symbol the configuration tool takes the later,
/// and warns of each such pair.
fn over(config: &str, fragment: &str) -> String {
    let said: BTreeSet<&str> = fragment.lines().filter_map(symbol).collect();
    let kept = config.lines().filter(|line| symbol(line).is_none_or(|name| !said.contains(name)));
    kept.chain(fragment.lines()).flat_map(|line| [line, "\n"]).collect()
}

/// Which of [`BOOTS`] are not built in.
fn lacking(config: &str) -> Vec<&'static str> {
    BOOTS.into_iter().filter(|name| !config.lines().any(|line| line.strip_prefix(name) == Some("=y"))).collect()
}

/// The symbol that a line sets or unsets.
fn symbol(line: &str) -> Option<&str> {
    let line = line.trim();
    let unset = line.strip_prefix("# ").and_then(|l| l.strip_suffix(" is not set"));
    unset.or_else(|| line.split_once('=').map(|(name, _)| name)).filter(|name| name.starts_with("CONFIG_"))
}

/// Lines of a fragment that do not hold in a configuration. `=n` is as good as "is not set", and so is no word at all.
fn dropped<'a>(fragment: &'a str, config: &str) -> Vec<&'a str> {
    let unset = |name: &str| !config.lines().any(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')));
    let holds = |line: &str| {
        if let Some(name) = line.strip_prefix("# ").and_then(|l| l.strip_suffix(" is not set")) {
            return unset(name);
        }
        match line.split_once('=') {
            Some((name, "n")) => unset(name),
            _ => config.lines().any(|l| l == line),
        }
    };
    let lines = fragment.lines().map(str::trim);
    let meant = lines.filter(|l| l.starts_with("CONFIG_") || l.starts_with("# CONFIG_") && l.ends_with(" is not set"));
    meant.filter(|line| !holds(line)).collect()
}

fn store(cache: &Cache, make: &Make, release: &str, image: &Path) -> Result<CacheEntry, BuildError> {
    let bytes = fs::read(image).map_err(|cause| BuildError::Read { path: image.to_owned(), cause })?;
    // An ELF image has no header to hold against the tree.
    if let Some(found) = kernel_release(&bytes).filter(|found| found != release) {
        return Err(BuildError::OtherImage { image: image.to_owned(), found, wanted: release.to_owned() });
    }
    let config = Make::read(&make.config)?;
    let dest = cache.kernels_dir().join(path_label(&make.tree));
    let metadata = Metadata {
        schema: METADATA_SCHEMA,
        version: upstream(release),
        release: release.to_owned(),
        commit: commit(&make.tree),
        source: format!("built in {}", make.tree.display()),
        ..Metadata::default()
    };
    publish_dir(&dest, || true, |dir| write_entry(dir, &bytes, config.as_bytes(), metadata))?;
    Ok(CacheEntry::read(&dest)?)
}

/// Short commit of a tree, with `-dirty`; none of a tree that only lies in somebody's repository.
fn commit(tree: &Path) -> Option<String> {
    let git = |words: &[&str]| {
        let output = Command::new("git").arg("-C").arg(tree).args(words).stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()? != tree.canonicalize().ok()? {
        return None;
    }
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|changes| !changes.is_empty());
    Some(if dirty { head + "-dirty" } else { head })
}

/// `6.18.15` of `6.18.15-00042-gdead`, `7.3-rc1` of `7.3.0-rc1+`.
fn upstream(release: &str) -> String {
    let mut parts = release.split(['-', '+']);
    let base = parts.next().unwrap_or_default();
    match parts
        .next()
        .filter(|p| p.strip_prefix("rc").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())))
    {
        Some(rc) => format!("{}-{rc}", base.strip_suffix(".0").unwrap_or(base)),
        None => base.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_its_own_commit_and_none_of_a_repository_around_it() {
        let dir = tempfile::tempdir().unwrap();
        let git = |words: &[&str]| {
            let ident = ["-c", "user.name=a", "-c", "user.email=a@b"];
            let run = Command::new("git").arg("-C").arg(dir.path()).args(ident).args(words).output().unwrap();
            assert!(run.status.success(), "{run:?}");
        };
        fs::write(dir.path().join("Makefile"), "1").unwrap();
        assert_eq!(commit(dir.path()), None);
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "one"]);
        let clean = commit(dir.path()).unwrap();
        assert!(clean.len() == 12 && clean.bytes().all(|b| b.is_ascii_hexdigit()), "{clean}");
        fs::write(dir.path().join("Makefile"), "2").unwrap();
        assert_eq!(commit(dir.path()), Some(clean + "-dirty"));
        fs::create_dir(dir.path().join("below")).unwrap();
        assert_eq!(commit(&dir.path().join("below")), None);
    }

    #[test]
    fn a_line_that_the_tree_does_not_take_is_named() {
        let fragment = "# a remark\nCONFIG_A=y\nCONFIG_B=m\nCONFIG_C=n\n# CONFIG_D is not set\nCONFIG_E=y\n";
        let config = "CONFIG_A=y\nCONFIG_B=y\nCONFIG_D=m\nCONFIG_EE=y\n";
        assert_eq!(dropped(fragment, config), ["CONFIG_B=m", "# CONFIG_D is not set", "CONFIG_E=y"]);
        assert_eq!(dropped("CONFIG_A=y\nCONFIG_Z=n", config), Vec::<&str>::new());
    }

    #[test]
    fn a_fragment_s_lines_take_the_place_of_those_that_there_were() {
        let config = "# a remark\nCONFIG_A=m\n# CONFIG_B is not set\nCONFIG_AB=y\n";
        let both = over(config, "CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set");
        assert_eq!(both, "# a remark\nCONFIG_AB=y\nCONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n");
        assert_eq!(over("CONFIG_A=y", ""), "CONFIG_A=y\n");
    }

    #[test]
    fn what_a_machine_needs_and_a_configuration_lacks_is_named() {
        let all: String = BOOTS.iter().map(|name| format!("{name}=y\n")).collect();
        assert!(lacking(&all).is_empty());
        assert_eq!(lacking(&all.replace("CONFIG_PVH=y", "CONFIG_PVH=m")), ["CONFIG_PVH"]);
        assert_eq!(lacking("CONFIG_SMP_X=y\n").len(), BOOTS.len());
    }

    #[test]
    fn a_release_of_a_tree_is_of_an_upstream_version() {
        let all = ["6.18.15", "6.18.15-00042-gdead", "7.3.0-rc1+", "7.3.0+", "6.18.0-dirty"].map(upstream);
        assert_eq!(all, ["6.18.15", "6.18.15", "7.3-rc1", "7.3.0", "6.18.0"]);
    }
}
