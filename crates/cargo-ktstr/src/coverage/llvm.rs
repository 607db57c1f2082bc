//! LLVM's own tools, of the version that rustc has: formats of profiles change with every other release.

use anyhow::{Context as _, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The two that make a report of profiles.
#[derive(Debug)]
pub struct Llvm {
    profdata: PathBuf,
    cov: PathBuf,
}

impl Llvm {
    /// `LLVM_PROFDATA` and `LLVM_COV`, the toolchain's own component, or a distribution's tools of the same version.
    ///
    /// # Errors
    /// None of these.
    pub fn find() -> Result<Self> {
        let rustc = Rustc::ask()?;
        Ok(Self { profdata: rustc.tool("llvm-profdata", "LLVM_PROFDATA")?, cov: rustc.tool("llvm-cov", "LLVM_COV")? })
    }

    /// The lcov text of some profiles, of the files below `sources`.
    ///
    /// # Errors
    /// What the tools say.
    pub fn lcov(&self, profiles: &[PathBuf], objects: &[&Path], sources: &Path, merged: &Path) -> Result<String> {
        let Some((first, rest)) = objects.split_first() else { bail!("no test binary was built") };
        if profiles.is_empty() {
            return Ok(String::new());
        }
        // A file names them: a gauntlet has more profiles than a command line holds.
        let list = merged.with_extension("list");
        let names: String = profiles.iter().map(|p| format!("{}\n", p.display())).collect();
        std::fs::write(&list, names).with_context(|| format!("failed to write {}", list.display()))?;
        let mut merge = Command::new(&self.profdata);
        // A process that was killed leaves a damaged profile; it is named, and costs no other.
        merge.args(["merge", "-sparse", "-failure-mode=all", "-f"]).arg(&list).arg("-o").arg(merged);
        call(&mut merge)?;
        let mut export = Command::new(&self.cov);
        export.args(["export", "-format=lcov", "-instr-profile"]).arg(merged).arg(first);
        rest.iter().for_each(|object| {
            export.arg("-object").arg(object);
        });
        export.arg("-sources").arg(sources);
        let text = call(&mut export)?;
        String::from_utf8(text).context("llvm-cov answered something else than text")
    }
}

fn call(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.with_context(|| format!("failed to start {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().filter(|l| !l.trim().is_empty()).for_each(|line| eprintln!("{line}"));
    ensure!(output.status.success(), "{name} failed; what it said is above");
    Ok(output.stdout)
}

/// What rustc says of itself.
struct Rustc {
    sysroot: PathBuf,
    host: String,
    llvm: String,
}

impl Rustc {
    fn ask() -> Result<Self> {
        let ask = |words: &[&str]| -> Result<String> {
            let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
            let output =
                Command::new(rustc).args(words).stdin(Stdio::null()).output().context("failed to start rustc")?;
            ensure!(output.status.success(), "rustc {} failed", words.join(" "));
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let version = ask(&["-vV"])?;
        let field =
            |name: &str| version.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        Ok(Self {
            sysroot: PathBuf::from(ask(&["--print", "sysroot"])?.trim()),
            host: field("host:"),
            llvm: field("LLVM version:").split('.').next().unwrap_or_default().to_owned(),
        })
    }

    fn tool(&self, name: &str, variable: &str) -> Result<PathBuf> {
        if let Some(set) = std::env::var_os(variable).filter(|v| !v.is_empty()) {
            return Ok(set.into());
        }
        let own = self.sysroot.join("lib/rustlib").join(&self.host).join("bin").join(name);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let of_distribution = format!("{name}-{}", self.llvm);
        let installed = std::env::split_paths(&path).map(|dir| dir.join(&of_distribution));
        std::iter::once(own).chain(installed).find(|p| p.is_file()).with_context(|| {
            format!(
                "{name} of LLVM {}, which this rustc has, is not here; run `rustup component add llvm-tools`, or name it by {variable}",
                self.llvm
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_missing_is_answered_with_the_command_that_brings_it() {
        let rustc = Rustc { sysroot: "/nowhere".into(), host: "x".into(), llvm: "22".into() };
        let text = rustc.tool("llvm-no-such", "KTSTR_NO_SUCH_VARIABLE").unwrap_err().to_string();
        assert!(text.contains("LLVM 22") && text.contains("rustup component add llvm-tools"), "{text}");
    }
}
