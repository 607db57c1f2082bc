#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod decode;
mod emergency;
mod encode;
mod frame;
mod message;
mod port;
mod transcript;

pub use decode::{Decoder, StreamFault};
pub use emergency::encode_panic_noalloc;
pub use encode::{EncodeError, Encoder};
pub use frame::{HEADER_LEN, MAGIC, MAX_PAYLOAD, TRAILER_LEN, VERSION};
pub use message::{
    Bye, Hello, Kind, Message, Nonce, PanicReport, ProcessSeen, SCHEMA, SchedulerSeen, Stage, TestReport, When,
};
pub use port::{DOORBELL, PORT, PORT_READY, WINDOW, WINDOW_LEN};
pub use transcript::Transcript;
