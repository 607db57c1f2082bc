//! `cargo xtask manifests`: what `shard plan` writes, and the workflows of docs/ci.md, against the engines' published schemas.
//!
//! Both schemas come inside packages of validators: GitHub's workflow schema (from schemastore) in check-jsonschema, and
//! Kubernetes' Job (from its `OpenAPI` description) in kubernetes-validate. Slurm publishes none: where a
//! cluster answers (one node on this machine will do) `sbatch --test-only` says what it thinks of the job array.

use crate::setup::run_python_setup;
use crate::step::{Steps, cargo, run, say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Validators, each with its schemas.
const PACKAGES: [&str; 2] = ["check-jsonschema==0.39.0", "kubernetes-validate==1.37.0"];

/// Plans the shards of an example for each engine, and validates what comes out.
pub fn manifests() -> Result<()> {
    run_python_setup()?;
    let root = workspace_root();
    let venv = root.join("target/manifests-venv");
    if !venv.join("ready").exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        run(Command::new(venv.join("bin/python")).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
        std::fs::write(venv.join("ready"), PACKAGES.join("\n"))?;
    }
    let dir = root.join("target/manifests");
    std::fs::create_dir_all(&dir)?;
    let mut steps = Steps::default();
    steps.step("GitHub: a workflow with our matrix", || {
        let matrix = std::fs::read_to_string(plan(&dir, "github", "matrix.json")?)?;
        let workflow = dir.join("matrix.yml");
        std::fs::write(&workflow, workflow_with(&matrix))?;
        github(&venv, &workflow)
    });
    steps.step("GitHub: the workflows of docs/ci.md", || {
        let text = std::fs::read_to_string(root.join("docs/ci.md"))?;
        let workflows = workflows(&text);
        ensure!(!workflows.is_empty(), "docs/ci.md has no workflow");
        for (at, workflow) in workflows.iter().enumerate() {
            let file = dir.join(format!("ci-{at}.yml"));
            std::fs::write(&file, workflow)?;
            github(&venv, &file)?;
        }
        Ok(())
    });
    steps.step("Kubernetes: an Indexed Job", || {
        let job = plan(&dir, "kubernetes", "shards.yaml")?;
        run(Command::new(venv.join("bin/kubernetes-validate")).arg("--strict").arg(job))
    });
    if Command::new("sinfo").output().is_ok_and(|o| o.status.success()) {
        steps.step("Slurm: a job array", || {
            let jobs = plan(&dir, "slurm", "shards.sbatch")?;
            run(Command::new("sbatch").arg("--test-only").arg(&jobs))?;
            let endless = dir.join("endless.sbatch");
            std::fs::write(&endless, std::fs::read_to_string(&jobs)?.replace("--array=0-", "--array=0-9999"))?;
            ensure!(run(Command::new("sbatch").arg("--test-only").arg(endless)).is_err(), "it takes any array");
            Ok(())
        });
    } else {
        say("Slurm: no cluster answers here, so its job array is not looked at");
    }
    steps.step("a broken manifest is refused", || {
        let bad = dir.join("bad.yml");
        std::fs::write(&bad, "on: push\njobs: {shard: {runs-on: x, strategy: {matrix: 3, max-parallel: no}}}\n")?;
        ensure!(github(&venv, &bad).is_err(), "the validator takes anything");
        Ok(())
    });
    steps.finish()
}

fn plan(dir: &Path, engine: &str, file: &str) -> Result<PathBuf> {
    let out = dir.join(engine);
    let mut command =
        cargo(&["run", "--quiet", "--locked", "--package", "cargo-ktstr", "--", "ktstr", "shard", "plan"]);
    command.args(["--jobs", "3", "--gauntlet", "--overcommit", "4", "--engine", engine, "--out"]).arg(&out);
    command.args(["--", "--package", "first-test"]);
    run(&mut command)?;
    Ok(out.join(file))
}

fn github(venv: &Path, file: &Path) -> Result<()> {
    let tool = venv.join("bin/check-jsonschema");
    run(Command::new(tool).args(["--builtin-schema", "vendor.github-workflows"]).arg(file)).context("GitHub's schema")
}

/// JSON is YAML, so the matrix stands in it as it was written.
fn workflow_with(matrix: &str) -> String {
    format!(
        "on: push\njobs:\n  shard:\n    runs-on: ubuntu-latest\n    strategy:\n      matrix: {}\n    steps:\n      - run: 'true'\n",
        matrix.trim()
    )
}

/// The YAML blocks that are whole workflows.
fn workflows(markdown: &str) -> Vec<String> {
    let blocks = markdown.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains("\njobs:")).map(str::to_owned).collect()
}
