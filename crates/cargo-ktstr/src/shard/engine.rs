//! What each engine takes. The commands in them are the same everywhere.

use super::Engine;
use super::split::Part;
use serde_json::json;

/// Twice what the longest shard is estimated to take, and ten minutes for its machine.
fn limit_s(parts: &[Part]) -> u64 {
    let longest = parts.iter().map(|p| p.seconds).fold(0.0, f64::max);
    // Seconds of a shard are far below 2^53, and not negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = (longest * 2.0).ceil() as u64;
    seconds + 600
}

/// Why an engine would not take so many shards: a matrix has at most 256 jobs (GitHub: "Running variations of jobs"), and an array
/// no index from Slurm's `MaxArraySize` on, 1001 unless the cluster says otherwise (slurm.conf(5)).
pub fn refusal(engine: Engine, shards: usize) -> Option<String> {
    let (name, limit) = match engine {
        Engine::Github => ("a matrix of GitHub Actions", 256),
        Engine::Slurm => ("a job array of Slurm (MaxArraySize)", 1001),
        Engine::Kubernetes => return None,
    };
    (shards > limit).then(|| format!("{name} has at most {limit} shards, and these are {shards}; use --jobs {limit}"))
}

/// Name and text of the engine's file.
pub fn file(engine: Engine, parts: &[Part], kernels: &[String], id: &str) -> (&'static str, String) {
    match engine {
        Engine::Github => ("matrix.json", github(parts)),
        Engine::Slurm => ("shards.sbatch", slurm(parts, kernels, id)),
        Engine::Kubernetes => ("shards.yaml", kubernetes(parts, kernels, id)),
    }
}

fn github(parts: &[Part]) -> String {
    let include: Vec<_> =
        parts.iter().enumerate().map(|(at, p)| json!({"shard": at, "minutes": (p.seconds / 60.0).ceil()})).collect();
    format!("{}\n", json!({"include": include}))
}

/// `cargo ktstr test` of one shard, its number in `$SHARD`. Tests run in their packages' directories, so paths are absolute.
pub fn command(kernels: &[String], id: &str) -> String {
    let kernels: Vec<String> = kernels.iter().map(|k| format!("--kernel '{}' ", k.replace('\'', r"'\''"))).collect();
    format!(
        "KTSTR_RUNS_ROOT=\"$PWD/records/$SHARD\" KTSTR_RUN_EPOCH=\"{id}.$SHARD\" cargo ktstr test {}--gauntlet -- --no-fail-fast --archive-file ktstr.tar.zst -E \"$(cat shards/shard-$SHARD.filter)\"",
        kernels.concat()
    )
}

fn slurm(parts: &[Part], kernels: &[String], id: &str) -> String {
    let last = parts.len().saturating_sub(1);
    format!(
        "#!/bin/sh\n#SBATCH --job-name=ktstr\n#SBATCH --array=0-{last}\n#SBATCH --time={}\n#SBATCH --output=ktstr-%A_%a.log\n\
         set -eu\nSHARD=$SLURM_ARRAY_TASK_ID\n{}\n",
        limit_s(parts).div_ceil(60),
        command(kernels, id)
    )
}

fn kubernetes(parts: &[Part], kernels: &[String], id: &str) -> String {
    let script = format!("SHARD=$JOB_COMPLETION_INDEX\n{}\n", command(kernels, id));
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "ktstr"},
        "spec": {
            "completionMode": "Indexed",
            "completions": parts.len(),
            "parallelism": parts.len(),
            // A failed test ends its own shard, and no other: without these the first failure ends the whole Job.
            "backoffLimitPerIndex": 0,
            "maxFailedIndexes": parts.len(),
            "activeDeadlineSeconds": limit_s(parts),
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{
                        "name": "shard",
                        "image": "ktstr",
                        "workingDir": "/ktstr",
                        "command": ["/bin/sh", "-euc", script],
                        "volumeMounts": [{"name": "work", "mountPath": "/ktstr"}],
                    }],
                    "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "ktstr"}}],
                },
            },
        },
    });
    // JSON is YAML.
    format!("{job:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn parts() -> Vec<Part> {
        vec![Part { seconds: 90.0, tests: BTreeSet::new() }, Part { seconds: 30.0, tests: BTreeSet::new() }]
    }

    #[test]
    fn slurm_s_directives_are_documented_ones_in_documented_forms() {
        let text = slurm(&parts(), &[], "id");
        let directives: Vec<(&str, &str)> =
            text.lines().filter_map(|l| l.strip_prefix("#SBATCH --")).filter_map(|l| l.split_once('=')).collect();
        // sbatch(1): --array takes first-last, --time minutes, --output the patterns %A (the array's job) and %a (the index).
        assert_eq!(
            directives,
            [("job-name", "ktstr"), ("array", "0-1"), ("time", "13"), ("output", "ktstr-%A_%a.log")]
        );
        let first_command = text.lines().position(|l| !l.starts_with('#')).unwrap();
        assert!(
            text.lines().skip(first_command).all(|l| !l.starts_with("#SBATCH")),
            "sbatch reads none after a command"
        );
    }

    #[test]
    fn more_shards_than_an_engine_takes_are_refused() {
        assert!(refusal(Engine::Github, 256).is_none() && refusal(Engine::Kubernetes, 10_000).is_none());
        assert!(refusal(Engine::Github, 257).unwrap().contains("--jobs 256"));
        assert!(refusal(Engine::Slurm, 1002).unwrap().contains("--jobs 1001"));
    }

    #[test]
    fn each_engine_has_as_many_shards_as_there_are() {
        let matrix: Value = serde_json::from_str(&github(&parts())).unwrap();
        assert_eq!(matrix["include"].as_array().unwrap().len(), 2);
        assert!(slurm(&parts(), &[], "id").contains("#SBATCH --array=0-1\n#SBATCH --time=13\n"));
        let job: Value = serde_json::from_str(&kubernetes(&parts(), &["6.18".into()], "id")).unwrap();
        assert_eq!((&job["spec"]["completions"], &job["spec"]["activeDeadlineSeconds"]), (&json!(2), &json!(780)));
        assert_eq!((&job["spec"]["maxFailedIndexes"], &job["spec"]["backoffLimit"]), (&json!(2), &Value::Null));
        assert!(job.to_string().contains("--kernel '6.18'"));
    }
}
