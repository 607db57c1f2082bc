//! Every canned scenario under every scheduler that `cargo xtask scenarios` and `cargo xtask simulations` know: `{scenario}@{scheduler}`.

use ktstr::prelude::*;

#[allow(dead_code, reason = "the fixture uses the table, this program the macro")]
#[path = "fixture/canned.rs"]
mod canned;

/// One entry for each scenario under one scheduler.
macro_rules! entries {
    ([$($scenario:ident),*] $scheduler:expr, $name:literal) => {
        $(const _: () = {
            #[distributed_slice(KTSTR_TESTS)]
            static ENTRY: KtstrTestEntry = KtstrTestEntry {
                name: concat!(stringify!($scenario), "@", $name),
                func: scenarios::$scenario,
                scheduler: $scheduler,
                duration_s: 3,
                // Operations under emulation take time of their own.
                watchdog_timeout_s: 60,
                ..KtstrTestEntry::DEFAULT
            };
        };)*
    };
}

canned::each_canned!(entries & Scheduler::EEVDF, "eevdf");

macro_rules! programs {
    ($($constant:ident $name:literal $binary:literal)*) => {
        $(
            declare_scheduler!($constant, { name = $name, binary = $binary });
            canned::each_canned!(entries &$constant, $binary);
        )*
    };
}

programs! {
    KTSTR "ktstr" "scx-ktstr"
    BPFLAND "bpfland" "scx_bpfland"
    RUSTY "rusty" "scx_rusty"
    LAVD "lavd" "scx_lavd"
    FLASH "flash" "scx_flash"
    COSMOS "cosmos" "scx_cosmos"
    P2DQ "p2dq" "scx_p2dq"
    BEERLAND "beerland" "scx_beerland"
    TICKLESS "tickless" "scx_tickless"
    RUSTLAND "rustland" "scx_rustland"
    RLFIFO "rlfifo" "scx_rlfifo"
}

fn main() {
    eprintln!("this binary is run by `cargo xtask scenarios` and `cargo xtask simulations`");
}
