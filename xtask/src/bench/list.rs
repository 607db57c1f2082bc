//! Listing against writing.

use super::median;
use anyhow::{Context as _, Result, ensure};
use ktstr_dispatch::KtstrTestEntry;
use ktstr_dispatch::catalogue::{Catalogue, HostOffer};
use ktstr_dispatch::list::write_names;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

const TESTS: usize = 1000;
const RUNS: usize = 15;
/// Times of one write that the listing may take.
const LIMIT: f64 = 3.0;

/// Both go into a pipe that another process empties, as nextest does.
pub fn run() -> Result<()> {
    let entries: Vec<KtstrTestEntry> = (0..TESTS)
        .map(|i| KtstrTestEntry {
            name: Box::leak(format!("test_number_{i:04}").into_boxed_str()),
            max_numa_nodes: Some(8),
            max_cpus: Some(1024),
            max_llcs: Some(64),
            ..KtstrTestEntry::DEFAULT
        })
        .collect();
    let host = HostOffer { cpu_budget: 1024, cpus: 1024, llcs: 64, max_cpus_per_llc: 64 };
    let kernels = ["6.18.15", "6.19.14", "7.2.12", "7.3.4"];
    let mut bytes = Vec::new();
    write_names(&Catalogue::new(entries.iter().collect(), &kernels, host), false, &mut bytes)?;
    let (mut listing, mut writing) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        listing.push(through_pipe(|pipe| {
            write_names(&Catalogue::new(entries.iter().collect(), &kernels, host), false, pipe)
        })?);
        writing.push(through_pipe(|pipe| pipe.write_all(&bytes))?);
    }
    let (listing, writing) = (median(listing), median(writing));
    let ratio = listing / writing;
    println!(
        "list: {} names, {} bytes, listing {:.2} ms, one write {:.2} ms, ratio {ratio:.2} (limit {LIMIT})",
        bytes.iter().filter(|&&b| b == b'\n').count(),
        bytes.len(),
        listing * 1e3,
        writing * 1e3
    );
    ensure!(ratio <= LIMIT, "listing takes {ratio:.2} times as long as writing");
    Ok(())
}

fn through_pipe(work: impl FnOnce(&mut std::process::ChildStdin) -> std::io::Result<()>) -> Result<f64> {
    let mut reader = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut pipe = reader.stdin.take().context("no pipe")?;
    let start = Instant::now();
    work(&mut pipe)?;
    let seconds = start.elapsed().as_secs_f64();
    drop(pipe);
    if let Some(out) = reader.stdout.as_mut() {
        out.read_to_end(&mut Vec::new())?;
    }
    reader.wait()?;
    Ok(seconds)
}
