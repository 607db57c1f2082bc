//! A shape by any of its names.

use crate::oddity::oddities;
use crate::preset::preset;
use crate::topology::{Topology, TopologyError};

/// The shape that a preset's name, an oddity's name or `NnNlNcNt` stands for.
///
/// # Errors
/// Text that is none of the three.
pub fn shape(text: &str) -> Result<Topology, TopologyError> {
    if let Some(preset) = preset(text) {
        return Ok(preset.topology.clone());
    }
    match oddities()?.into_iter().find(|odd| odd.name == text) {
        Some(odd) => Ok(odd.topology),
        None => text.parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn a_shape_goes_by_preset_oddity_or_numbers() {
        for name in ["64cpu-8llc-smt", "odd-no-l3", "1n2l3c1t"] {
            assert!(shape(name).is_ok(), "{name}");
        }
        assert!(shape("odd-nothing").is_err() && shape("").is_err());
    }
}
