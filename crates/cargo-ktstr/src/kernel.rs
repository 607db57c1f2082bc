//! `cargo ktstr kernel …`.

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use ktstr_kernel::cache::{Cache, CacheEntry};
use ktstr_kernel::{Console, KernelId, decompose_version_for_compare, fetch};
use serde_json::json;
use std::path::PathBuf;

/// Kernels in the cache and in the distribution's archive.
#[derive(Subcommand)]
pub enum Kernel {
    /// Take a stock kernel from the machine's package mirror into the cache
    #[command(
        after_help = "Examples:\n  cargo ktstr kernel fetch            the newest with sched_ext\n  cargo ktstr kernel fetch 6.18       the newest 6.18.x\n  cargo ktstr kernel fetch 6.18..7.3  the newest of a range\n  cargo ktstr kernel fetch 6.18 7.3   both, at once\n  cargo ktstr kernel fetch ./linux-image-6.18.deb\n  cargo ktstr kernel fetch --list\n\nA fetch that was interrupted goes on where it was. Exit codes: 0 all are there, 1 one is not."
    )]
    Fetch {
        /// Versions, ranges, `debian-backports` or .deb files; several are fetched at once. The newest when left out
        #[arg(value_name = "REQUEST")]
        requests: Vec<String>,
        /// Show what can be had instead
        #[arg(long)]
        list: bool,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Build a kernel from a source tree into the cache
    #[command(
        after_help = "Examples:\n  cargo ktstr kernel build --source ~/linux\n  cargo ktstr kernel build --source ~/linux --config debug.config\n\nThe tree's own .config is used, or defconfig with what the harness needs where it has none; a fragment is added to a copy. Its directory is printed, for --kernel."
    )]
    Build {
        /// The directory that holds the kernel's Makefile
        #[arg(long, value_name = "DIR")]
        source: PathBuf,
        /// Lines to add to the configuration; one that the tree does not take is an error
        #[arg(long, value_name = "FRAGMENT")]
        config: Option<PathBuf>,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Show the cached kernels
    List {
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Print the directory of a cached kernel
    Path {
        /// Version; the newest when left out
        version: Option<String>,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Remove old kernels from the cache
    Clean {
        /// How many of the newest stay
        #[arg(long, default_value_t = 0)]
        keep: usize,
    },
}

/// Runs one of them.
pub fn run(command: &Kernel) -> Result<()> {
    match command {
        Kernel::Fetch { list: true, json, .. } => offered(*json),
        Kernel::Fetch { requests, json, .. } => fetch_all(requests, *json),
        Kernel::Build { source, config, json } => {
            let progress = Console::new();
            // make's own words would be drawn over a bar, and it has no end that is known.
            progress.finish();
            let entry = ktstr_kernel::build(source, config.as_deref(), &progress)?;
            if !entry.metadata().sched_ext {
                eprintln!(
                    "ktstr: WARNING: this kernel has no sched_ext; CONFIG_SCHED_CLASS_EXT=y in a fragment adds it"
                );
            }
            show(&entry, *json);
            Ok(())
        }
        Kernel::List { json } => cached(*json),
        Kernel::Path { version, json } => {
            let entry = pick(version.as_deref())?;
            entry.verify()?;
            show(&entry, *json);
            Ok(())
        }
        Kernel::Clean { keep } => {
            let cleaned = Cache::open()?.clean(*keep)?;
            println!(
                "removed {} kernels, {} MiB; {} stay",
                cleaned.removed.len(),
                cleaned.freed >> 20,
                cleaned.kept.len()
            );
            Ok(())
        }
    }
}

/// All at once; what can be had is had, and the first that cannot is the answer.
fn fetch_all(requests: &[String], as_json: bool) -> Result<()> {
    let newest = [String::new()];
    let requests = if requests.is_empty() { &newest[..] } else { requests };
    let progress = Console::new();
    let fetched: Vec<_> = std::thread::scope(|scope| {
        let progress = &progress;
        let running: Vec<_> =
            requests.iter().map(|request| scope.spawn(move || fetch::fetch(request, progress))).collect();
        running.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    progress.finish();
    let mut failed = Vec::new();
    for (request, entry) in requests.iter().zip(fetched) {
        match entry {
            Ok(entry) => show(&entry, as_json),
            Err(e) if requests.len() == 1 => return Err(e.into()),
            Err(e) => failed.push(format!("{request}: {e}")),
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n")) }
}

fn offered(as_json: bool) -> Result<()> {
    let progress = Console::new();
    let listed = fetch::list(&progress);
    progress.finish();
    for k in listed? {
        let sched_ext = match k.sched_ext {
            fetch::SchedExt::Yes => "yes",
            fetch::SchedExt::No => "no",
            fetch::SchedExt::Expected => "expected",
            fetch::SchedExt::NotExpected => "not expected",
        };
        if as_json {
            println!(
                "{}",
                json!({"version": k.version, "release": k.release, "suite": k.suite, "sched_ext": sched_ext, "cached": k.cached})
            );
        } else {
            let cached = if k.cached { "cached" } else { "" };
            let line = format!("{:<12} {:<20} sched_ext: {sched_ext:<13} {cached}", k.version, k.suite);
            println!("{}", line.trim_end());
        }
    }
    Ok(())
}

fn cached(as_json: bool) -> Result<()> {
    let entries = Cache::open()?.entries()?;
    if entries.is_empty() && !as_json {
        eprintln!("no kernel is cached; `cargo ktstr kernel fetch` takes one from the mirror");
    }
    for entry in entries {
        if as_json {
            println!("{}", describe(&entry));
        } else {
            let meta = entry.metadata();
            let sched_ext = if meta.sched_ext { "yes" } else { "no" };
            println!("{:<12} {:<32} sched_ext: {sched_ext:<4} {}", meta.version, meta.release, meta.source);
        }
    }
    Ok(())
}

fn pick(version: Option<&str>) -> Result<CacheEntry> {
    let cache = Cache::open()?;
    let Some(wanted) = version else {
        return cache.newest()?.context("no kernel is cached; run `cargo ktstr kernel fetch`");
    };
    if let Some(entry) = cache.entry(wanted) {
        return Ok(entry);
    }
    let id = KernelId::parse(wanted)?;
    let answers = |version: &str| match &id {
        KernelId::Version(v) => version.strip_prefix(v.as_str()).is_some_and(|rest| rest.starts_with('.')),
        KernelId::Range { start, end } => {
            let key = decompose_version_for_compare(version);
            decompose_version_for_compare(start) <= key && key <= decompose_version_for_compare(end)
        }
        _ => false,
    };
    let found = cache.entries()?.into_iter().filter(|e| answers(&e.metadata().version));
    let newest = found.max_by_key(|e| decompose_version_for_compare(&e.metadata().version));
    match newest {
        Some(entry) => Ok(entry),
        None => bail!("kernel {wanted} is not cached; run `cargo ktstr kernel fetch {wanted}`"),
    }
}

fn describe(entry: &CacheEntry) -> serde_json::Value {
    let meta = entry.metadata();
    json!({
        "version": meta.version,
        "release": meta.release,
        "sched_ext": meta.sched_ext,
        "source": meta.source,
        "path": entry.dir(),
        "vmlinux": entry.vmlinux(),
        "config": entry.config(),
    })
}

/// The directory alone on stdout, for `KTSTR_KERNEL=$(cargo ktstr kernel path 6.18)`.
fn show(entry: &CacheEntry, as_json: bool) {
    if as_json {
        println!("{}", describe(entry));
    } else {
        println!("{}", entry.dir().display());
    }
}
