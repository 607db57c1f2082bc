//! The four verdicts and their two projections: exit code and record bits.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Exit code of a pass, and of a skip (it never ran).
pub const EXIT_PASS: i32 = 0;
/// Exit code of a failure.
pub const EXIT_FAIL: i32 = 1;
/// Exit code of a run that proved nothing either way.
pub const EXIT_INCONCLUSIVE: i32 = 2;

/// What became of a test.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Proved.
    Pass,
    /// Not run.
    Skip,
    /// Run, and nothing proved.
    Inconclusive,
    /// Disproved, or not observed.
    Fail,
}

/// The three flags of a record; a failure has none set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarBits {
    /// The verdict is a pass.
    pub passed: bool,
    /// The verdict is a skip.
    pub skipped: bool,
    /// The verdict is inconclusive.
    pub inconclusive: bool,
}

impl Verdict {
    /// [`EXIT_PASS`], [`EXIT_FAIL`] or [`EXIT_INCONCLUSIVE`].
    #[must_use]
    pub const fn exit_code(self) -> i32 {
        match self {
            Self::Pass | Self::Skip => EXIT_PASS,
            Self::Fail => EXIT_FAIL,
            Self::Inconclusive => EXIT_INCONCLUSIVE,
        }
    }

    /// The flags of the record.
    #[must_use]
    pub const fn bits(self) -> SidecarBits {
        SidecarBits {
            passed: matches!(self, Self::Pass),
            skipped: matches!(self, Self::Skip),
            inconclusive: matches!(self, Self::Inconclusive),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Skip => "SKIP",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Fail => "FAIL",
        })
    }
}
