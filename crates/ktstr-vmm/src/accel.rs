//! Which accelerator runs the machine, and why.

use crate::kvm::probe;
use anyhow::{Result, bail};
use std::fmt;

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accel {
    /// Hardware virtualisation.
    Kvm,
    /// QEMU's translator, in real time.
    Tcg,
    /// QEMU's translator, in virtual time.
    Sim,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
            Self::Sim => "sim",
        })
    }
}

/// An accelerator and the reason it was taken, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccelChoice {
    /// The accelerator.
    pub accel: Accel,
    /// One line.
    pub why: String,
}

/// Decides from the value of `KTSTR_ACCEL`.
///
/// # Errors
/// A value that is not one of the four, or one that this version cannot run.
pub fn choose_accel(wanted: Option<&str>) -> Result<AccelChoice> {
    let choice = |accel, why: &str| Ok(AccelChoice { accel, why: why.to_owned() });
    match wanted {
        None | Some("auto") => match &probe().refused {
            None => choice(Accel::Kvm, "auto: a probe guest ran"),
            Some(why) => choice(Accel::Tcg, &format!("auto, not kvm: {why}")),
        },
        Some("tcg") => choice(Accel::Tcg, "asked for"),
        Some("kvm") => match &probe().refused {
            None => choice(Accel::Kvm, "asked for"),
            Some(why) => bail!("KTSTR_ACCEL=kvm, and no guest can run here: {why}; unset it or set it to tcg"),
        },
        Some("sim") => choice(Accel::Sim, "asked for"),
        Some(other) => {
            bail!("KTSTR_ACCEL={other} is not an accelerator: use auto, kvm, tcg or sim")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_answered_with_the_four() {
        let text = choose_accel(Some("fast")).unwrap_err().to_string();
        assert!(["auto", "kvm", "tcg", "sim"].iter().all(|a| text.contains(a)), "{text}");
        let auto = choose_accel(None).unwrap();
        assert!(auto.accel != Accel::Sim && auto.why.starts_with("auto"), "{auto:?}");
    }
}
