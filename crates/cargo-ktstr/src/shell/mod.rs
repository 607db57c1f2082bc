//! `cargo ktstr shell`: a machine for a person, or for one command.

mod machine;
mod terminal;
mod tools;

pub use terminal::{RESTORE, restore_when_orphaned};

use crate::kernels::{self, Kernel};
use crate::router;
use anyhow::{Context as _, Result, bail};
use ktstr_kernel::find::{FindEnv, FoundKernel, find_kernel};
use ktstr_topology::{Topology, oddities, preset};
use ktstr_vmm::Vm;
use ktstr_wire::Message;
use machine::Machine;
use serde::Deserialize;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use terminal::RawTerminal;

/// The machine failed, whatever the command would have said (as container tools do it).
const MACHINE_FAILED: u8 = 125;

/// A command that nobody waits for by choice, on a slow host.
const PRINTED_WITHIN: Duration = Duration::from_secs(300);

/// A machine for a person, or for one command.
#[derive(clap::Args, Debug)]
pub struct Shell {
    /// The machine and the scheduler of this test
    #[arg(long, value_name = "NAME", conflicts_with = "topology")]
    test: Option<String>,
    /// A shape (NnNlNcNt), or the name of a preset
    #[arg(long, value_name = "TOPOLOGY", default_value = "1n1l2c1t")]
    topology: String,
    /// Run this with /bin/sh, print what it prints, and end with its exit code
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// A host file for the guest's /root, where the shell starts; may be repeated
    #[arg(short, long = "include", value_name = "FILE")]
    include: Vec<PathBuf>,
    /// Version, .deb, path or cache entry
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<String>,
    /// The package the test is in
    #[arg(long, short, requires = "test")]
    package: Option<String>,
}

/// The machine of a test, as its binary says it (`--ktstr-shell-test`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TestMachine {
    numa_nodes: u32,
    llcs: u32,
    cores: u32,
    threads: u32,
    memory_mib: u32,
    extra_include_files: Vec<PathBuf>,
    scheduler_name: String,
    scheduler_kind: String,
    scheduler_path: Option<PathBuf>,
    scheduler_args: Vec<String>,
}

/// Runs it.
pub fn run(shell: &Shell) -> Result<ExitCode> {
    if shell.exec.is_none() && !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        bail!("a shell needs a terminal, and this is none; run one command with --exec CMD");
    }
    let machine = plan(shell)?;
    let raw = match &shell.exec {
        Some(_) => None,
        None => {
            eprintln!("ktstr: {}; `exit` ends it, and Ctrl-A x if it hangs", machine.described());
            Some(RawTerminal::enter()?)
        }
    };
    let terminal = raw.as_ref().map(RawTerminal::described);
    let config = machine.config(shell.exec.as_deref(), terminal.as_ref())?;
    let mut code = None;
    let run = Vm::new(config).run_watched(&mut |message| match message {
        // Whoever reads may have left; the command's code still counts.
        Message::Output { error: false, bytes } => drop(std::io::stdout().lock().write_all(bytes)),
        Message::Output { error: true, bytes } => drop(std::io::stderr().lock().write_all(bytes)),
        Message::ExitCode(status) => code = Some(*status),
        _ => {}
    });
    drop(raw);
    let run = run?;
    let _ = std::io::stdout().flush();
    match (code, run.transcript.completeness()) {
        (Some(code), Ok(())) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))),
        (None, _) if shell.exec.is_none() => {
            eprintln!("ktstr: the machine was ended before its shell");
            Ok(ExitCode::from(MACHINE_FAILED))
        }
        (_, complete) => {
            let why = complete.err().map_or_else(|| format!("{:?}", run.end), |e| e.to_string());
            eprintln!("ktstr: the machine failed, and what it printed may be incomplete: {why}");
            let lines: Vec<&str> = run.console.lines().filter(|l| !l.trim().is_empty()).collect();
            lines[lines.len().saturating_sub(3)..].iter().for_each(|l| eprintln!("  {}", l.trim_end()));
            Ok(ExitCode::from(MACHINE_FAILED))
        }
    }
}

/// What a command prints in a small machine on this kernel.
pub fn printed(kernel: FoundKernel, command: &str) -> Result<Vec<u8>> {
    let mut machine = Machine::new(shape("1n1l1c1t")?, kernel);
    machine.tools(false);
    let (mut output, mut code) = (Vec::new(), None);
    let mut config = machine.config(Some(command), None)?;
    config.deadlines.test = PRINTED_WITHIN;
    let run = Vm::new(config).run_watched(&mut |message| match message {
        Message::Output { error: false, bytes } => output.extend_from_slice(bytes),
        Message::ExitCode(status) => code = Some(*status),
        _ => {}
    })?;
    run.transcript.completeness().context("the machine failed")?;
    anyhow::ensure!(code == Some(0), "`{command}` ended with {code:?}");
    Ok(output)
}

fn plan(shell: &Shell) -> Result<Machine> {
    let test = match &shell.test {
        Some(name) => {
            let answer = router::ask("--ktstr-shell-test", name, shell.package.as_deref())?;
            Some(
                serde_json::from_str::<TestMachine>(&answer.text)
                    .context("the test binary answered something else than JSON")?,
            )
        }
        None => None,
    };
    let topology = match &test {
        Some(t) => Topology::new(t.numa_nodes, t.llcs, t.cores, t.threads)?,
        None => shape(&shell.topology)?,
    };
    let kernel = kernel(shell.kernel.as_deref())?;
    let mut machine = Machine::new(topology, kernel);
    if let Some(test) = test {
        machine.memory_mib = test.memory_mib;
        machine.same_path(&test.extra_include_files);
        match (test.scheduler_kind.as_str(), test.scheduler_path) {
            ("eevdf", _) => {}
            ("discover" | "path", Some(path)) => machine.scheduler(&test.scheduler_name, path, test.scheduler_args),
            (kind, _) => eprintln!("ktstr: WARNING: the scheduler `{}` ({kind}) is not started", test.scheduler_name),
        }
    }
    machine.include(&shell.include)?;
    machine.tools(shell.exec.is_none());
    Ok(machine)
}

fn kernel(wanted: Option<&str>) -> Result<FoundKernel> {
    match wanted {
        None => find_kernel(&FindEnv::from_process()),
        Some(text) => match &kernels::resolve(&[text.to_owned()])?[..] {
            [Kernel { path, .. }] => FoundKernel::from_path(path),
            several => bail!("--kernel {text} is {} kernels; a shell has one", several.len()),
        },
    }
}

/// A shape in the grammar, or the name of a preset or an oddity.
fn shape(text: &str) -> Result<Topology> {
    if let Some(preset) = preset(text) {
        return Ok(preset.topology.clone());
    }
    let named = oddities().ok().into_iter().flatten().find(|o| o.name == text).map(|o| o.topology);
    match named {
        Some(topology) => Ok(topology),
        None => text.parse().with_context(|| {
            format!("--topology {text} is neither a preset nor a shape like 1n2l4c2t (nodes, LLCs, cores in each, threads in each)")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_shape_is_answered_with_the_grammar() {
        assert!(shape("1n2l2c1t").is_ok());
        assert!(format!("{:#}", shape("2x4").unwrap_err()).contains("like 1n2l4c2t"));
    }

    #[test]
    fn a_binary_s_answer_is_understood_with_fields_we_do_not_know() {
        let text = r#"{"numa_nodes":1,"llcs":2,"cores":2,"threads":1,"scheduler_kind":"eevdf","later":true}"#;
        let machine: TestMachine = serde_json::from_str(text).unwrap();
        assert_eq!((machine.llcs, machine.scheduler_kind.as_str()), (2, "eevdf"));
    }
}
