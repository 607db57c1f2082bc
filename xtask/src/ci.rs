//! `cargo xtask ci`: everything that must hold before a change lands.

use crate::demo::{DEFAULT_KERNEL, DEMO_SCHEDULER, OVERCOMMIT};
use crate::gdb_check::gdb_check;
use crate::lab::{self, Lab};
use crate::setup::run_setup;
use crate::step::{Steps, cargo, run, workspace_root};
use crate::{conformance, demo};
use anyhow::{Result, ensure};

/// Sets the machine up, then runs every check; all failures are reported at the end.
pub fn ci() -> Result<()> {
    let mut steps = Steps::default();
    let ready = steps.step("set-up", run_setup);
    steps.step("fmt", || run(&mut cargo(&["fmt", "--all", "--check"])));
    steps.step("clippy", || {
        run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    });
    steps.step("docs", || {
        run(cargo(&["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))
    });
    steps.step("doc examples", || run(&mut cargo(&["test", "--workspace", "--doc", "--locked"])));
    steps.step("conformance", || {
        ensure!(conformance::run(&workspace_root().join("conformance"))?, "conformance vectors failed");
        Ok(())
    });
    if ready {
        let mut kernel = None;
        steps.step("kernel", || {
            kernel = Some(demo::fetch_kernel(DEFAULT_KERNEL)?);
            Ok(())
        });
        let scheduler = steps.step("scheduler", || demo::install_scheduler(DEMO_SCHEDULER).map(drop));
        if let (Some(kernel), true) = (kernel, scheduler) {
            steps.step("tests", || {
                let mut tests = cargo(&["nextest", "run", "--workspace", "--locked", "--profile", "ci"]);
                // A skip here means that the set-up above did not do its work.
                tests.env("KTSTR_KERNEL", kernel.dir()).env("KTSTR_OVERCOMMIT", OVERCOMMIT);
                tests.env("KTSTR_NO_SKIP_MODE", "1");
                // The workspace's own scheduler is as well built as everything else here.
                run(tests.env("KTSTR_SCHEDULER_PROFILE", "dev"))
            });
            steps.step("a stop under gdb", gdb_check);
            steps.step("the machine tests on KVM", || lab::lab(&Lab::default()));
        }
    }
    steps.finish()
}
