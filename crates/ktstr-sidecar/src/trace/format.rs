//! `format` files of events (kernel: Documentation/trace/events.rst, Event formats).

/// How an event's bytes are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Its name.
    pub name: String,
    /// The number it is recorded under.
    pub id: u16,
    /// Its own fields, and the common ones before them.
    pub fields: Vec<Field>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name.
    pub name: String,
    /// Bytes before it.
    pub offset: usize,
    /// Its bytes.
    pub size: usize,
    /// What they are.
    pub kind: Kind,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number.
    Number {
        /// It can be negative.
        signed: bool,
    },
    /// Text up to a NUL, in the field itself.
    Text,
    /// Text elsewhere in the event: the field holds its offset (low half) and length (high half).
    TextElsewhere,
}

/// A field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Any number, negative ones as two's complement.
    Number(u64),
    /// Any text.
    Text(String),
}

/// Understands a `format` file; fields of other kinds are left out, and an event without a number is none.
pub(super) fn parse(text: &str) -> Option<Event> {
    let after = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix)).map(str::trim);
    let name = after("name:")?.to_owned();
    let id = after("ID:")?.parse().ok()?;
    Some(Event { name, id, fields: text.lines().filter_map(field).collect() })
}

/// `field:char comm[16]; offset:8; size:16; signed:0;`
fn field(line: &str) -> Option<Field> {
    let mut parts = line.trim().split(';').map(str::trim);
    let declaration = parts.next()?.strip_prefix("field:")?;
    let mut number = |name: &str| parts.next()?.strip_prefix(name)?.parse::<usize>().ok();
    let (offset, size, signed) = (number("offset:")?, number("size:")?, number("signed:")? != 0);
    let (kind, name) = declaration.rsplit_once(char::is_whitespace)?;
    let (name, kind) = if kind.starts_with("__data_loc") && kind.contains("char") {
        (name, Kind::TextElsewhere)
    } else if let (Some((name, _)), true) = (name.split_once('['), kind.ends_with("char")) {
        (name, Kind::Text)
    } else if matches!(size, 1 | 2 | 4 | 8) && !name.contains('[') {
        (name, Kind::Number { signed })
    } else {
        return None;
    };
    Some(Field { name: name.to_owned(), offset, size, kind })
}

impl Field {
    /// Its value in the bytes of an event; `None` when they are too few.
    pub fn value(&self, bytes: &[u8]) -> Option<Value> {
        let own = bytes.get(self.offset..self.offset.checked_add(self.size)?)?;
        match self.kind {
            Kind::Number { signed } => {
                let mut word = [if signed && own.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 }; 8];
                word.get_mut(..own.len())?.copy_from_slice(own);
                Some(Value::Number(u64::from_le_bytes(word)))
            }
            Kind::Text => Some(Value::Text(text(own))),
            Kind::TextElsewhere => {
                let at = usize::from(u16::from_le_bytes([*own.first()?, *own.get(1)?]));
                let length = usize::from(u16::from_le_bytes([*own.get(2)?, *own.get(3)?]));
                Some(Value::Text(text(bytes.get(at..at + length)?)))
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
