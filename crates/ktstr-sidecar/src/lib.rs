#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod delta;
mod failure;
mod join;
mod metric;
mod plain;
mod read;
mod record;
mod report;
mod rows;
mod scan;
mod series;
mod session;
mod store;
mod summary;
mod trace;
mod variant;
mod verifier;

pub use delta::{Change, Comparison, Finding, PerfDeltaAssertion, Question, compare, delta_json, delta_text};
pub use failure::{Files, failure_text};
pub use join::{Joined, RunKey};
pub use metric::{METRICS, Metric, Polarity, figures, metric_of};
pub use read::{Damage, read_record};
pub use record::{Callback, Repro, SCHEMA_VERSION, SidecarRecord};
pub use report::{Gathered, Report, html};
pub use rows::{Evidence, Host, Limit, Row, RowKey, Rows, Tally};
pub use scan::{All, Fold, Scanned, scan};
pub use series::Series;
pub use session::{Location, SESSION_FILE, record_dir};
pub use store::{StoreError, read_records, write_record, write_trace};
pub use summary::{analyze_sidecars, annotations, markdown, number, row_json};
pub use trace::perfetto;
pub use variant::{VariantKey, variant_hash};
pub use verifier::{VERIFIER_LIMIT, VERIFIER_WARNING, VerifierRecord};
