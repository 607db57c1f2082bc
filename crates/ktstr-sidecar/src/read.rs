//! From the bytes of a file to a record: any older version and unknown fields are taken, anything else is named.

use crate::record::{SCHEMA_VERSION, SidecarRecord};
use serde::Deserialize;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A file that should be a record and is none that this version can read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
#[error("{path}: {why}")]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// Reads one record.
///
/// # Errors
/// A file that cannot be read, is no record, names no test, or was written by a later version.
pub fn read_record(path: &Path) -> Result<SidecarRecord, Damage> {
    read_record_with(path, &mut Vec::new())
}

/// [`read_record`] with a buffer that many files share.
pub(crate) fn read_record_with(path: &Path, buffer: &mut Vec<u8>) -> Result<SidecarRecord, Damage> {
    buffer.clear();
    File::open(path)
        .and_then(|mut file| file.read_to_end(buffer))
        .map_err(|e| e.to_string())
        .and_then(|_| parse(buffer))
        .map_err(|why| Damage { path: path.to_owned(), why })
}

pub(crate) fn parse(bytes: &[u8]) -> Result<SidecarRecord, String> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u64,
    }
    match serde_json::from_slice::<SidecarRecord>(bytes) {
        Ok(record) if record.schema_version > SCHEMA_VERSION => Err(newer(record.schema_version.into())),
        Ok(record) if record.test_name.is_empty() => Err("it names no test".to_owned()),
        Ok(record) => Ok(record),
        // What a field means may have changed so much that it no longer parses: then the version is the reason.
        Err(e) => match serde_json::from_slice::<Version>(bytes) {
            Ok(Version { schema_version }) if schema_version > SCHEMA_VERSION.into() => Err(newer(schema_version)),
            _ => Err(e.to_string()),
        },
    }
}

fn newer(version: u64) -> String {
    format!("its schema version is {version} and this ktstr reads up to {SCHEMA_VERSION}; use a newer one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::Verdict;
    use proptest::prelude::*;

    #[test]
    fn unknown_and_missing_fields_are_taken() {
        let read = parse(br#"{"test_name":"a","passed":true,"later":{"deep":[1]}}"#).unwrap();
        assert_eq!((read.verdict(), read.schema_version), (Verdict::Pass, 0));
    }

    #[test]
    fn a_record_as_version_1_wrote_it_is_read() {
        let read = parse(include_bytes!("../tests/records/version-1.ktstr.json")).unwrap();
        assert_eq!((read.schema_version, read.verdict(), read.wall_ms), (1, Verdict::Pass, 6438));
        assert_eq!(read.phases_us["boot"], 4_384_797);
        assert!(read.host_governor.is_none());
    }

    #[test]
    fn a_later_version_is_refused_by_its_number_even_when_a_field_has_another_type() {
        for text in [r#"{"schema_version":9,"test_name":"a"}"#, r#"{"schema_version":9,"test_name":{"name":"a"}}"#] {
            let why = parse(text.as_bytes()).unwrap_err();
            assert!(why.contains("version is 9"), "{why}");
        }
    }

    #[test]
    fn an_object_that_names_no_test_is_no_record() {
        assert!(parse(b"{}").is_err());
    }

    proptest! {
        #[test]
        fn a_record_cut_anywhere_is_no_record(cut in 0.0f64..1.0) {
            let text = serde_json::to_vec_pretty(&SidecarRecord::new("a", "1n1l2c1t", "eevdf", Verdict::Pass)).unwrap();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let at = (text.len() as f64 * cut) as usize;
            prop_assert!(parse(&text[..at]).is_err());
        }
    }
}
