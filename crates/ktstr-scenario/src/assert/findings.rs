//! What the checks of one subject found, said in one form: who, the value, the limit, and the attribute that set it.

use ktstr_verdict::{AssertResult, CheckKind};

/// One check: the attribute that asks for it, and what it looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    /// Its attribute.
    pub name: &'static str,
    /// What it looks at.
    pub kind: CheckKind,
}

/// Outcomes about one subject: a cgroup, or the machine.
#[derive(Debug)]
pub(crate) struct Findings {
    who: String,
    result: AssertResult,
}

impl Findings {
    /// Nothing found yet of `who`.
    pub fn of(who: impl Into<String>) -> Self {
        Self { who: who.into(), result: AssertResult::default() }
    }

    /// The check held, and saw this.
    pub fn held(&mut self, check: Check, saw: &str) {
        self.result.held(format!("{}{saw} ({})", self.who, check.name));
    }

    /// The check did not hold; one line for each offender.
    pub fn broken(&mut self, check: Check, offenders: &[String]) {
        let lines: Vec<String> = offenders.iter().map(|o| format!("{}{o} ({})", self.who, check.name)).collect();
        self.result.broken(check.kind, lines.join("\n"));
    }

    /// The check could not be made.
    pub fn unknown(&mut self, check: Check, why: &str) {
        self.result.unknown(check.kind, format!("{}{why} ({})", self.who, check.name));
    }

    /// Broken when there are offenders, held otherwise.
    pub fn judge(&mut self, check: Check, offenders: &[String], saw: &str) {
        if offenders.is_empty() { self.held(check, saw) } else { self.broken(check, offenders) }
    }

    /// A limit that is a number; one that is not would let everything pass.
    pub fn limit(&mut self, check: Check, limit: Option<f64>) -> Option<f64> {
        let limit = limit?;
        if limit.is_nan() {
            self.broken(check, &["the limit is not a number: give one".to_owned()]);
            return None;
        }
        Some(limit)
    }

    /// All of it.
    pub fn into_result(self) -> AssertResult {
        self.result
    }
}

/// A quotient, or nothing where nothing can be said.
pub(crate) fn ratio(over: f64, under: f64) -> Option<f64> {
    let quotient = over / under;
    (under != 0.0 && quotient.is_finite()).then_some(quotient)
}

#[allow(clippy::cast_precision_loss, reason = "figures for people and ratios: 52 bits are plenty")]
pub(crate) fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::Verdict;

    const CHECK: Check = Check { name: "max_spread_pct", kind: CheckKind::Fairness };

    #[test]
    fn a_limit_that_is_not_a_number_fails() {
        let mut findings = Findings::of("cgroup `a`: ");
        assert_eq!(findings.limit(CHECK, Some(f64::NAN)), None);
        let result = findings.into_result();
        assert_eq!(result.fold(), Verdict::Fail);
        assert!(result.texts(Verdict::Fail).contains("cgroup `a`: the limit is not a number"));
    }

    #[test]
    fn a_quotient_by_zero_or_of_nothing_is_none() {
        for (over, under) in [(1.0, 0.0), (0.0, 0.0), (f64::NAN, 1.0), (1.0, f64::NAN), (f64::INFINITY, 2.0)] {
            assert_eq!(ratio(over, under), None, "{over} / {under}");
        }
        assert_eq!(ratio(3.0, 2.0), Some(1.5));
    }
}
