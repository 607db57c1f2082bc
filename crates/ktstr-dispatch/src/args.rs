//! The command line of a test binary, as far as it is ours.

use std::ffi::OsString;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// `--list` was given.
    pub list: bool,
    /// `--ignored` was given.
    pub ignored: bool,
    /// The name behind `--exact`.
    pub exact: Option<String>,
    /// `--ktstr-export-test=NAME`.
    pub export_test: Option<String>,
    /// `--ktstr-shell-test=NAME`.
    pub shell_test: Option<String>,
    /// `--ktstr-export-output=PATH`.
    pub export_output: Option<String>,
    /// `--ktstr-thresholds-test=NAME`.
    pub thresholds_test: Option<String>,
    /// `--ktstr-list-costs` was given.
    pub list_costs: bool,
    /// `--ktstr-list-schedulers` was given.
    pub list_schedulers: bool,
    /// `--ktstr-bare-test=NAME`, which a `.run` file gives.
    pub bare_test: Option<String>,
    /// `--ktstr-bare-dir=PATH`: where the file unpacked itself.
    pub bare_dir: Option<String>,
    /// `--ktstr-test-fn=NAME`.
    pub test_fn: Option<String>,
    /// `--ktstr-topo=NnNlNcNt`.
    pub topo: Option<String>,
}

impl Args {
    /// Reads the arguments after the program's name; `--flag=value` and `--flag value` are the same, what is not ours is
    /// left alone.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Self {
        let mut out = Self::default();
        let mut args = args.into_iter().map(|a| a.to_string_lossy().into_owned()).peekable();
        while let Some(arg) = args.next() {
            let (flag, inline) = match arg.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            let slot = match flag {
                "--list" => {
                    out.list = true;
                    continue;
                }
                "--ignored" => {
                    out.ignored = true;
                    continue;
                }
                "--ktstr-list-costs" => {
                    out.list_costs = true;
                    continue;
                }
                "--ktstr-list-schedulers" => {
                    out.list_schedulers = true;
                    continue;
                }
                "--exact" => &mut out.exact,
                "--ktstr-export-test" => &mut out.export_test,
                "--ktstr-export-output" => &mut out.export_output,
                "--ktstr-bare-test" => &mut out.bare_test,
                "--ktstr-bare-dir" => &mut out.bare_dir,
                "--ktstr-thresholds-test" => &mut out.thresholds_test,
                "--ktstr-shell-test" => &mut out.shell_test,
                "--ktstr-test-fn" => &mut out.test_fn,
                "--ktstr-topo" => &mut out.topo,
                _ => continue,
            };
            let value = match inline {
                Some(value) => value,
                None => args.next_if(|next| !next.starts_with("--")).unwrap_or_default(),
            };
            *slot = Some(value);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Args {
        Args::parse(line.iter().map(OsString::from))
    }

    #[test]
    fn both_spellings_of_a_flag_mean_the_same() {
        let a = parse(&["--ktstr-test-fn=x", "--ktstr-topo=1n1l2c1t"]);
        assert_eq!(a, parse(&["--ktstr-test-fn", "x", "--ktstr-topo", "1n1l2c1t"]));
        assert_eq!(a.test_fn.as_deref(), Some("x"));
    }

    #[test]
    fn the_runner_s_own_lines_are_understood() {
        let list = parse(&["--list", "--format", "terse", "--ignored"]);
        assert!(list.list && list.ignored && list.exact.is_none());
        let run = parse(&["--exact", "ktstr/a", "--nocapture"]);
        assert_eq!(run.exact.as_deref(), Some("ktstr/a"));
    }

    #[test]
    fn a_missing_value_is_empty_and_eats_no_flag() {
        let a = parse(&["--exact", "--nocapture"]);
        assert_eq!(a.exact.as_deref(), Some(""));
    }
}
