//! The kernels a scheduler accepts: what can be said about a spec before any kernel is looked for.

/// A version as it compares: a release is above all of its release candidates, missing parts are 0.
type Version = (u32, u32, u32, u32);

/// Checks one entry of `kernels = […]`: versions, `A..B` ranges, paths, git sources, packages and cache keys.
///
/// # Errors
/// What is wrong and what to write.
pub fn check(spec: &str) -> Result<(), String> {
    let spec = spec.trim();
    if spec.is_empty() {
        return Err("a kernel spec must not be empty: write a version such as \"6.18\" or leave it out".to_owned());
    }
    let is_place = spec.contains('/') || spec.starts_with('.') || spec.starts_with('~') || spec.starts_with("git+");
    let is_package = spec.ends_with(".deb") || spec.ends_with(".rpm");
    let Some((start, end)) = spec.split_once("..").filter(|_| !is_place && !is_package) else {
        return Ok(());
    };
    let end = end.strip_prefix('=').unwrap_or(end);
    for side in [start, end] {
        if version(side).is_none() {
            return Err(format!(
                "`{spec}` is not a range of kernels: `{side}` is no version; write both ends, as in \"6.18..7.3\""
            ));
        }
    }
    if version(start) > version(end) {
        return Err(format!("`{spec}` accepts no kernel: it runs backwards, write \"{end}..{start}\""));
    }
    Ok(())
}

/// `MAJ[.MIN[.PATCH]][-rcN]`.
fn version(text: &str) -> Option<Version> {
    let (numbers, candidate) = match text.split_once("-rc") {
        Some((numbers, candidate)) => (numbers, number(candidate)?),
        None => (text, u32::MAX),
    };
    let mut parts = numbers.split('.').map(number);
    let major = parts.next()??;
    let minor = parts.next().unwrap_or(Some(0))?;
    let patch = parts.next().unwrap_or(Some(0))?;
    parts.next().is_none().then_some((major, minor, patch, candidate))
}

/// ASCII digits only: `u32::from_str` takes a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_source_passes() {
        for spec in
            ["6.18", "6", "6.14.2", "6.15-rc3", "6.18..7.3", "6.18..=7.3-rc1", "../linux", "~/linux", "debian:6.18"]
        {
            assert_eq!(check(spec), Ok(()), "{spec}");
        }
        assert_eq!(check("git+https://example.org/linux#tag=v6.18"), Ok(()));
        assert_eq!(check("linux..image.deb"), Ok(()));
        assert_eq!(check("6.18..6.18"), Ok(()));
    }

    #[test]
    fn a_range_with_a_missing_or_odd_end_is_refused() {
        for spec in ["6.18..", "6.18..abc", "6.18..7.3.1.2", "6.18..+7", "6.18...7.3"] {
            assert!(check(spec).is_err(), "{spec}");
        }
    }

    #[test]
    fn an_inverted_range_suggests_the_swap() {
        assert!(check("7.3..6.18").is_err_and(|e| e.contains("\"6.18..7.3\"")));
        assert!(check("6.18..6.18-rc7").is_err_and(|e| e.contains("\"6.18-rc7..6.18\"")));
    }

    #[test]
    fn an_empty_spec_is_refused() {
        assert!(check("  ").is_err());
    }
}
