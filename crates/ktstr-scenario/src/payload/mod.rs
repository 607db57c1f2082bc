//! Real programs as workloads: declared, packed into the guest with their libraries, run, and judged by what they say.

mod beside;
mod capture;
mod declare;
mod figures;
mod home;
mod judge;
mod report;
mod running;
mod watch;

pub use beside::TestBody;
pub use declare::{Payload, PayloadMetric, PayloadOutput};
pub use home::{PROGRAMS, on_path};
pub use report::{FromMetric, PayloadReport};
pub use running::RunningPayload;
