//! What the expansions of the macros refer to; not for anybody else, and free to change.

pub use ktstr_dispatch::{KTSTR_SCHEDULERS, KTSTR_TESTS, KtstrTestEntry, PostVmFn, run_as_libtest};
pub use ktstr_scenario::{
    Assert, FromMetric, Payload, PayloadMetric, PayloadOutput, PayloadReport, Scheduler, SchedulerSpec,
};
pub use linkme;
