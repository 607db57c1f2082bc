//! Vectors of `final_outcome`.

use super::{flag, texts};
use anyhow::{Result, anyhow, bail};
use ktstr_verdict as v;
use serde_json::{Value, json};

/// The decision of a case.
pub fn final_outcome(case: &Value) -> Result<Value> {
    let policy = v::Policy {
        expect_err: flag(case, "expect_err")?,
        allow_inconclusive: flag(case, "allow_inconclusive")?,
        no_skip: flag(case, "no_skip")?,
    };
    let result = &case["result"];
    let decision = if result.get("outcomes").is_some() {
        let outcomes = texts(result, "outcomes")?.into_iter().map(outcome).collect::<Result<_>>()?;
        v::final_outcome(&Ok(v::AssertResult { outcomes, ..v::AssertResult::default() }), policy)
    } else {
        v::final_outcome(&Err(error(result)?), policy)
    };
    let bits = decision.bits();
    Ok(json!({
        "verdict": format!("{:?}", decision.verdict()),
        "exit": decision.exit_code(),
        "bits": [bits.passed, bits.skipped, bits.inconclusive],
    }))
}

fn outcome(name: &str) -> Result<v::Outcome> {
    Ok(match name {
        "Pass" => v::Outcome::Pass,
        "Skip" => v::Outcome::Skip { reason: "vector".into() },
        "Inconclusive" => v::Outcome::Inconclusive { detail: "vector".into() },
        "Fail" => v::Outcome::Fail { detail: "vector".into() },
        other => bail!("`{other}` is not an outcome"),
    })
}

fn error(result: &Value) -> Result<anyhow::Error> {
    let mut error = match result["host"].as_str() {
        None => anyhow!("vector"),
        Some("KernelUnavailable") => v::KernelUnavailable::new("vector", "none").into(),
        Some("PerfModeUnavailable") => v::PerfModeUnavailable::new("vector").into(),
        Some("CpuBudgetUnsatisfiable") => v::CpuBudgetUnsatisfiable::new("vector").into(),
        Some("TopologyUnrepresentable") => v::TopologyUnrepresentable::new("vector").into(),
        Some("ResourceContention") => v::ResourceContention::new("vector").into(),
        Some("TopologyInsufficient") => v::TopologyInsufficient::new("vector", "vector").into(),
        Some(other) => bail!("`{other}` is not a host class"),
    };
    for depth in 0..result["contexts"].as_u64().unwrap_or(0) {
        error = error.context(format!("context {depth}"));
    }
    for marker in texts(result, "markers")? {
        error = match marker {
            "HarnessFault" => error.context(v::HarnessFault::new("vector")),
            "PostVmAssertionFailure" => error.context(v::PostVmAssertionFailure::new("vector")),
            "SchedulerBuildRefused" => error.context(v::SchedulerBuildRefused::new("vector")),
            "SurvivesStormViolated" => error.context(v::SurvivesStormViolated::new("vector")),
            "ExpectAutoReproSatisfied" => error.context(v::ExpectAutoReproSatisfied::new("vector")),
            "ScxBpfErrorMatcherMismatch" => error.context(v::ScxBpfErrorMatcherMismatch::new("vector")),
            other => bail!("`{other}` is not a marker"),
        };
    }
    Ok(error)
}
