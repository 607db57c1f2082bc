//! The lines that switch a scheduler of the kernel on and off.

/// Checks that `line` is `echo V > /abs/path`: guest-init writes files, it has no shell.
///
/// # Errors
/// What is wrong and what to write.
pub fn check(line: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("`{line}`: {why}; only `echo V > /abs/path` is understood"));
    let Some(rest) = line.strip_prefix("echo ") else {
        return refuse("it does not start with `echo `");
    };
    let Some((value, path)) = rest.split_once(" > ") else {
        return refuse("it has no ` > `");
    };
    if value.trim().is_empty() {
        return refuse("it writes nothing");
    }
    if value.strip_prefix('-').is_some_and(|option| option.starts_with(|c: char| c.is_ascii_alphabetic())) {
        return refuse("echo takes no options here");
    }
    if rest.replacen(" > ", "", 1).contains(is_shell) {
        return refuse("there is no shell to understand its quotes, variables or pipes");
    }
    if !path.starts_with('/') || path.contains(char::is_whitespace) || path.split('/').any(|part| part == "..") {
        return refuse("the file is not one absolute path");
    }
    Ok(())
}

fn is_shell(c: char) -> bool {
    "\"'`$\\|&;<>(){}*?\n".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_and_an_absolute_path_pass() {
        assert_eq!(check("echo 1 > /sys/kernel/debug/sched/on"), Ok(()));
        assert_eq!(check("echo -1 > /proc/sys/kernel/sched"), Ok(()));
    }

    #[test]
    fn everything_a_shell_would_be_needed_for_is_refused() {
        for line in [
            "",
            "echo 1",
            "echo > /x",
            "echo  > /x",
            "echo 1 >> /x",
            "echo 1 > x",
            "echo 1 > /x /y",
            "echo 1 > /x; reboot",
            "echo $V > /x",
            "echo -n 1 > /x",
            "echo 1 > /x > /y",
            "echo 1 > /sys/../x",
            "cat a > /x",
        ] {
            assert!(check(line).is_err(), "{line}");
        }
    }
}
