//! The wire format of protocol buffers, as far as a trace needs it: numbers and lengths (protobuf.dev, Encoding).

/// The bytes of a message.
#[derive(Debug, Default)]
pub(super) struct Proto(Vec<u8>);

/// A number follows.
const VARINT: u64 = 0;
/// A length follows, and so many bytes.
const LENGTH: u64 = 2;

impl Proto {
    /// A number; negative ones as two's complement of 64 bits, as `int32` and `int64` want it.
    pub fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | VARINT);
        self.varint(value);
    }

    /// A text.
    pub fn text(&mut self, field: u64, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A message in this one.
    pub fn message(&mut self, field: u64, value: &Self) {
        self.bytes(field, &value.0);
    }

    /// All that was put in.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | LENGTH);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// Seven bits at a time, the lowest first; the uppermost bit of a byte says that another follows.
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}
