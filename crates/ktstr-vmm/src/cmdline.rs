//! The kernel's command line (kernel: Documentation/admin-guide/kernel-parameters.txt).

use crate::config::VmConfig;
use ktstr_wire::PORT;

/// Words that every machine gets.
const ALWAYS: &[&str] = &[
    "console=ttyS0",
    // A panic, and an oops, is a reset at once, and a reset is an exit of the monitor.
    "panic=-1",
    "oops=panic",
    "reboot=t",
    // The emulated TSC runs at the host's rate; calibrating it on a busy host fails now and then.
    "tsc=reliable",
    "no_timer_check",
    // No keyboard controller: probing for one takes half a second.
    "i8042.noaux",
    "i8042.nokbd",
    "random.trust_cpu=on",
];

/// The whole line for a machine.
#[must_use]
pub fn kernel_command_line(config: &VmConfig) -> String {
    let mut words: Vec<String> = ALWAYS.iter().map(|w| (*w).to_owned()).collect();
    words.push(if config.verbose { "loglevel=7" } else { "quiet" }.to_owned());
    words.push(format!("ktstr.port={PORT:#x}"));
    words.extend(config.cmdline_extra.iter().cloned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_plain_machine() {
        insta::assert_snapshot!(kernel_command_line(&VmConfig::default()), @"console=ttyS0 panic=-1 oops=panic reboot=t tsc=reliable no_timer_check i8042.noaux i8042.nokbd random.trust_cpu=on quiet ktstr.port=0x5b0");
    }
}
