//! Every number that a simulated guest measured, exactly. What the host measured of the run is none of them.

use anyhow::{Context as _, Result};
use ktstr_sidecar::SidecarRecord;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A number as it was written: integers stay integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Whole(i128),
    Real(f64),
}

/// The numbers of one run, by name.
#[derive(Debug, Default, PartialEq)]
pub struct Figures(BTreeMap<String, Number>);

/// One figure of both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    pub a: Option<Number>,
    pub b: Option<Number>,
}

impl Number {
    fn of(number: &serde_json::Number) -> Option<Self> {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.map(Self::Whole).or_else(|| number.as_f64().map(Self::Real))
    }

    #[allow(clippy::cast_precision_loss, reason = "only where a whole number meets a real one")]
    const fn real(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Real(x) => x,
        }
    }

    pub fn as_json(self) -> Value {
        match self {
            Self::Whole(n) => i64::try_from(n).map_or_else(|_| self.real().into(), Value::from),
            Self::Real(x) => x.into(),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(n) => n.fmt(f),
            Self::Real(x) => x.fmt(f),
        }
    }
}

impl Figures {
    pub fn of(record: &SidecarRecord) -> Result<Self> {
        let mut figures = Self::default();
        let parts = [
            ("cgroup", serde_json::to_value(&record.cgroups)),
            ("phase", serde_json::to_value(&record.phases)),
            ("monitor", serde_json::to_value(&record.monitor)),
            ("event", serde_json::to_value(&record.sched_ext_events)),
            ("verifier", serde_json::to_value(&record.verifier_instructions)),
            ("callback", serde_json::to_value(&record.callback_profile)),
            ("metric", serde_json::to_value(&record.metrics)),
        ];
        for (name, part) in parts {
            figures.take(name, &part.with_context(|| format!("the record's {name} figures cannot be read"))?);
        }
        Ok(figures)
    }

    fn take(&mut self, name: &str, value: &Value) {
        match value {
            Value::Number(number) => {
                if let Some(number) = Number::of(number) {
                    self.0.insert(name.to_owned(), number);
                }
            }
            Value::Object(fields) => {
                for (field, value) in fields {
                    self.take(&format!("{name}.{field}"), value);
                }
            }
            Value::Array(items) => {
                // By its own name where it has one; a second of that name by its place as well.
                let mut seen = BTreeSet::new();
                for (place, item) in items.iter().enumerate() {
                    let own = item.get("name").and_then(Value::as_str);
                    let word = match own {
                        Some(own) if seen.insert(own) => own.to_owned(),
                        Some(own) => format!("{own}#{place}"),
                        None => place.to_string(),
                    };
                    self.take(&format!("{name}.{word}"), item);
                }
            }
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
}

impl Row {
    /// B less A; `None` where only one side has it.
    pub fn difference(&self) -> Option<Number> {
        Some(match (self.a?, self.b?) {
            (Number::Whole(a), Number::Whole(b)) => Number::Whole(b - a),
            (a, b) => Number::Real(b.real() - a.real()),
        })
    }

    pub fn differs(&self) -> bool {
        self.a != self.b
    }
}

/// Every figure of either side.
pub fn rows(a: &Figures, b: &Figures) -> Vec<Row> {
    let names: BTreeSet<&String> = a.0.keys().chain(b.0.keys()).collect();
    let row = |name: &String| Row { name: name.clone(), a: a.0.get(name).copied(), b: b.0.get(name).copied() };
    names.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::{CgroupStats, Verdict};

    fn record(iterations: u64) -> SidecarRecord {
        let mut record = SidecarRecord::new("t", "1n1l2c1t", "eevdf", Verdict::Pass);
        let group = |name: &str| CgroupStats { name: name.into(), iterations, ..CgroupStats::default() };
        record.cgroups = vec![group("a"), group("a"), group("b")];
        record.metrics.insert("own".into(), 0.5);
        record
    }

    #[test]
    fn equals_differ_in_nothing_and_one_more_is_one_more_however_large() {
        let of = |n| Figures::of(&record(n)).unwrap();
        assert!(rows(&of(7), &of(7)).iter().all(|r| !r.differs()));
        let large = u64::MAX - 1;
        let found = rows(&of(large), &of(large + 1));
        let differ: Vec<&Row> = found.iter().filter(|r| r.differs()).collect();
        let names: Vec<&str> = differ.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["cgroup.a#1.iterations", "cgroup.a.iterations", "cgroup.b.iterations"]);
        assert!(differ.iter().all(|r| r.difference() == Some(Number::Whole(1))));
    }

    #[test]
    fn what_the_host_measured_is_no_figure_and_what_one_side_lacks_differs() {
        let mut other = record(7);
        other.wall_ms = 99;
        other.host_run_delay_ns = 5;
        other.phases_us.insert("test".into(), 3);
        let (a, mut b) = (Figures::of(&record(7)).unwrap(), Figures::of(&other).unwrap());
        assert_eq!(a, b);
        b.0.remove("metric.own");
        let found = rows(&a, &b);
        let lacking = found.iter().find(|r| r.name == "metric.own").unwrap();
        assert!(lacking.differs() && lacking.difference().is_none());
    }
}
