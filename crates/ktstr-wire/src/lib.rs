#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod base64;
mod decode;
mod emergency;
mod encode;
mod frame;
mod message;
mod parcel;
mod port;
mod transcript;

pub use decode::{Decoder, StreamFault};
pub use emergency::encode_panic_noalloc;
pub use encode::{EncodeError, Encoder};
pub use frame::{HEADER_LEN, MAGIC, MAX_PAYLOAD, TRAILER_LEN, VERSION};
pub use message::{
    Bye, Hello, Kind, Message, Nonce, PanicReport, ProcessSeen, ProgramSeen, SCHEMA, SchedulerSeen, Stage, SwitchSeen,
    TestReport, TracePart, TraceWhat, When,
};
pub use parcel::{MAX_PARCEL, ParcelFault, seal, unseal};
pub use port::{DOORBELL, GUEST_MARKER, INBOX, INBOX_LEN, PARAMS_PATH, PORT, PORT_READY, WINDOW, WINDOW_LEN};
pub use transcript::Transcript;
