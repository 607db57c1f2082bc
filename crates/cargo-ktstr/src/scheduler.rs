//! `cargo ktstr scheduler …`.

use anyhow::Result;
use clap::Subcommand;
use ktstr_kernel::{Console, scheduler_cache};
use serde_json::json;

/// Published schedulers in the cache.
#[derive(Subcommand)]
pub enum Scheduler {
    /// Build a published scheduler into the cache
    #[command(
        after_help = "Examples:\n  cargo ktstr scheduler install scx_bpfland        the newest, or the one that is there\n  cargo ktstr scheduler install scx_bpfland@1.1.4"
    )]
    Install {
        /// NAME or NAME@VERSION
        name: String,
    },
    /// Show the installed schedulers
    List {
        /// For machines
        #[arg(long)]
        json: bool,
    },
}

/// Runs one of them.
pub fn run(command: &Scheduler) -> Result<()> {
    match command {
        Scheduler::Install { name } => {
            let (name, version) = name.split_once('@').map_or((name.as_str(), None), |(n, v)| (n, Some(v)));
            let progress = Console::new();
            let path = scheduler_cache::install(name, version, &progress);
            progress.finish();
            println!("{}", path?.display());
        }
        Scheduler::List { json } => list(*json),
    }
    Ok(())
}

fn list(as_json: bool) {
    let installed = scheduler_cache::installed();
    if installed.is_empty() && !as_json {
        eprintln!("no scheduler is here; `cargo ktstr scheduler install scx_bpfland` builds one");
    }
    for s in installed {
        if as_json {
            println!("{}", json!({"name": s.name, "version": s.version, "path": s.path, "size": s.size}));
        } else {
            #[allow(clippy::cast_precision_loss)]
            let mib = s.size as f64 / f64::from(1 << 20);
            println!("{:<20} {:<10} {mib:>6.1} MiB  {}", s.name, s.version, s.path.display());
        }
    }
}
