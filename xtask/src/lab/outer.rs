//! The outer machine.

use super::Lab;
use super::guest::{END_LINE, EXIT_LINE};
use super::payload::Archive;
use anyhow::{Context as _, Result, ensure};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Words of the outer kernel. One TCG thread, as everywhere: live code patching oopses with several.
const CMDLINE: &str = "console=ttyS0 panic=-1 oops=panic reboot=t tsc=reliable no_timer_check quiet rdinit=/lab/xtask";

/// Runs it to its end; the answer is the command's exit code, `None` when none came.
///
/// Two consoles on one terminal would be one mess: a `quiet` machine's is shown at its end.
pub fn run(kernel: &Path, archive: &Archive, records: &Path, options: &Lab, quiet: bool) -> Result<Option<i32>> {
    let dir = tempfile::tempdir()?;
    let results = dir.path().join("results");
    // The kernel kills the machine when this process is gone, however it went.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", ktstr_vmm::QEMU_PROGRAM]);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35"]);
    command.args(["-accel", "tcg,thread=single", "-cpu", &format!("{},+svm,+npt,+nrip-save", options.cpu)]);
    command.args(["-smp", &options.cpus.to_string(), "-m", &format!("{}M", options.memory)]);
    command.args(["-chardev", "stdio,id=console,signal=on", "-serial", "chardev:console"]);
    let console = dir.path().join("console");
    if quiet {
        command.stdout(std::fs::File::create(&console)?);
    }
    command.args(["-chardev", &format!("file,id=results,path={}", results.display()), "-serial", "chardev:results"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(archive.path());
    command.args(["-append", &format!("{CMDLINE} -- lab-guest")]).stdin(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().context("failed to start the outer machine")?;
    if let Some(stderr) = child.stderr.take() {
        // One line for each feature that is not translated, on each CPU: forty that say nothing new.
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if !line.contains("warning: TCG doesn't support requested feature") {
                eprintln!("{line}");
            }
        }
    }
    let status = child.wait().context("failed to wait for the outer machine")?;
    if quiet {
        std::io::copy(&mut std::fs::File::open(&console)?, &mut std::io::stdout().lock())?;
    }
    ensure!(status.success(), "the outer machine ended with {status}");
    let results = std::fs::read(&results).context("the outer machine left no results")?;
    parse(&results, records)
}

/// Keeps the records and gives the exit code; half of the results are none.
fn parse(results: &[u8], records: &Path) -> Result<Option<i32>> {
    let Some(body) = results.strip_suffix(END_LINE.as_bytes()) else {
        return Ok(None);
    };
    let Some(end) = body.iter().position(|&b| b == b'\n') else {
        return Ok(None);
    };
    let line = String::from_utf8_lossy(&body[..end]);
    let code = line.strip_prefix(EXIT_LINE).and_then(|c| c.parse().ok());
    tar::Archive::new(&body[end + 1..]).unpack(records).context("the records from the lab are damaged")?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_are_not_whole_are_none() {
        assert_eq!(parse(b"", Path::new("/nonexistent")).unwrap(), None);
        assert_eq!(parse(b"ktstr-lab-exit 0\n", Path::new("/nonexistent")).unwrap(), None);
        assert_eq!(parse(b"ktstr-lab-end\n", Path::new("/nonexistent")).unwrap(), None);
    }
}
