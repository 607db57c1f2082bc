//! Markers: what an error *means*, whatever it says.
//!
//! They ride on an error as `anyhow` context or as its root. `anyhow` boxes a context together with its source, so a walk of
//! `chain()` with `is::<T>()` misses contexts; `downcast_ref` on the outer error finds both.

macro_rules! marker {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("{message}")]
        pub struct $name {
            message: String,
        }

        impl $name {
            /// With the text that a person will read.
            pub fn new(message: impl Into<String>) -> Self {
                Self { message: message.into() }
            }

            /// That text.
            #[must_use]
            pub fn message(&self) -> &str {
                &self.message
            }
        }
    };
}

marker! {
    /// The test could not be observed: guest lost before its verdict, stream truncated or corrupt, failed boot or init, a
    /// deadline of ours. Fails always; `expect_err` never inverts it.
    HarnessFault
}
marker! {
    /// A host-side check after the machine failed. Fails always.
    PostVmAssertionFailure
}
marker! {
    /// The scheduler's build failed, and a stale binary was not used. Fails always.
    SchedulerBuildRefused
}
marker! {
    /// The test promised that the scheduler survives, and it died. Fails always.
    SurvivesStormViolated
}
marker! {
    /// The reproduction that the test expects succeeded. Passes.
    ExpectAutoReproSatisfied
}
marker! {
    /// Under `expect_err`, another bug fired than the one expected. Fails.
    ScxBpfErrorMatcherMismatch
}
