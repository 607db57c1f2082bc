//! The kernel's command line (kernel: Documentation/admin-guide/kernel-parameters.txt).

use crate::accel::Accel;
use crate::config::VmConfig;
use ktstr_wire::PORT;

/// Whose machine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Monitor {
    /// QEMU's q35.
    Qemu,
    /// Our own, with next to no devices.
    Kvm,
}

/// Words that every machine gets.
const ALWAYS: &[&str] = &[
    "console=ttyS0",
    // A panic, and an oops, is a reset at once, and a reset is an exit of the monitor.
    "panic=-1",
    "oops=panic",
    // The TSC runs at the host's rate; calibrating it on a busy host fails now and then.
    "tsc=reliable",
    "no_timer_check",
    "random.trust_cpu=on",
    // A log that has lost its first lines is no good one, and the 128 KiB of a stock kernel are full after some hundred CPUs
    // that came and went.
    "log_buf_len=512K",
    // Distributions build the self-tests of cryptography in; a quarter of a boot goes to them, and no scheduler needs them.
    "cryptomgr.notests=1",
];

/// QEMU without a keyboard controller still answers probes slowly: half a second.
const QEMU: &[&str] = &["reboot=t", "i8042.noaux", "i8042.nokbd"];

/// The reset line instead of a triple fault, which is then always a fault; nothing to probe for on a bus that is not there.
const KVM: &[&str] = &[
    "reboot=k",
    "pci=off",
    "8250.nr_uarts=1",
    // Self-tests of cryptography that `notests` does not reach, among them entropy out of time for a tenth of a boot; sealed
    // keys, for whose ciphers it looks for modules before there are any; counters of a memory controller that is not there.
    "initcall_blacklist=jent_mod_init,crypto_kdf108_init,crypto_hkdf_module_init,init_encrypted,amd_uncore_init",
    "ktstr.window",
];

/// The whole line for a machine.
#[must_use]
pub fn kernel_command_line(config: &VmConfig, monitor: Monitor) -> String {
    let own = match monitor {
        Monitor::Qemu => QEMU,
        Monitor::Kvm => KVM,
    };
    let mut words: Vec<String> = ALWAYS.iter().chain(own).map(|w| (*w).to_owned()).collect();
    // How much somebody wants to see must not change what a simulated machine does.
    let talkative = config.verbose && config.accel != Accel::Sim;
    words.push(if talkative { "loglevel=7" } else { "quiet" }.to_owned());
    words.push(format!("ktstr.port={PORT:#x}"));
    words.extend(config.cmdline_extra.iter().cloned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_machine_s_line_is_the_same_however_much_is_shown() {
        let line =
            |verbose, accel| kernel_command_line(&VmConfig { verbose, accel, ..VmConfig::default() }, Monitor::Qemu);
        assert_eq!(line(true, Accel::Sim), line(false, Accel::Sim));
        assert_ne!(line(true, Accel::Tcg), line(false, Accel::Tcg));
    }

    #[test]
    fn the_line_of_a_plain_machine() {
        insta::assert_snapshot!(kernel_command_line(&VmConfig::default(), Monitor::Qemu), @"console=ttyS0 panic=-1 oops=panic tsc=reliable no_timer_check random.trust_cpu=on log_buf_len=512K cryptomgr.notests=1 reboot=t i8042.noaux i8042.nokbd quiet ktstr.port=0x5b0");
        insta::assert_snapshot!(kernel_command_line(&VmConfig::default(), Monitor::Kvm), @"console=ttyS0 panic=-1 oops=panic tsc=reliable no_timer_check random.trust_cpu=on log_buf_len=512K cryptomgr.notests=1 reboot=k pci=off 8250.nr_uarts=1 initcall_blacklist=jent_mod_init,crypto_kdf108_init,crypto_hkdf_module_init,init_encrypted,amd_uncore_init ktstr.window quiet ktstr.port=0x5b0");
    }
}
