//! Protobuf messages, read without copying: etcd's rows and records have few fields, and a file has millions of them. And
//! messages that are written, field by field, as etcd up to 3.6 does: a number that is zero is written too.
//!
//! | bytes  | field |
//! | ------ | --- |
//! | varint | tag: field number << 3, plus the wire type |
//! | varint | wire type 0: the number |
//! | 8      | wire type 1: a number, little-endian |
//! | varint, n | wire type 2: the length n, then n bytes |
//! | 4      | wire type 5: a number, little-endian |
//!
//! A varint has seven bits a byte, the lowest first, and the upper bit where more follow. Source: protobuf's encoding guide.

/// How many lower bits of a tag are the wire type.
const WIRE_BITS: u32 = 3;
/// The longest varint of 64 bits, in bytes.
const LONGEST_VARINT: usize = 10;
/// The highest field number that protobuf allows.
const HIGHEST_FIELD: u64 = (1 << 29) - 1;

/// Why bytes are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It ends in the middle of a field.
    #[error("the message ends within a field")]
    Cut,
    /// A varint has more than 64 bits.
    #[error("a number of the message is too long")]
    TooLong,
    /// A field number is zero or too high.
    #[error("the message has a field with the number {0}")]
    Field(u64),
    /// A wire type that proto2 and proto3 messages of etcd do not use.
    #[error("field {field} of the message has the wire type {wire}")]
    Wire {
        /// The field's number.
        field: u32,
        /// The wire type.
        wire: u8,
    },
}

/// The content of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    Fixed,
}

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'b> {
    pub(crate) number: u32,
    pub(crate) content: Content<'b>,
}

impl<'b> Field<'b> {
    /// Returns the field as a number, and an error where it is of another kind.
    pub(crate) fn unsigned(self) -> Result<u64, Malformed> {
        match self.content {
            Content::Number(number) => Ok(number),
            Content::Bytes(_) => Err(Malformed::Wire { field: self.number, wire: 2 }),
            Content::Fixed => Err(Malformed::Wire { field: self.number, wire: 1 }),
        }
    }

    /// Returns the field as a signed number of 64 bits, which protobuf writes in two's complement.
    pub(crate) fn signed(self) -> Result<i64, Malformed> {
        self.unsigned().map(u64::cast_signed)
    }

    /// Returns the field as bytes, and an error where it is of another kind.
    pub(crate) fn bytes(self) -> Result<&'b [u8], Malformed> {
        match self.content {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Number(_) => Err(Malformed::Wire { field: self.number, wire: 0 }),
            Content::Fixed => Err(Malformed::Wire { field: self.number, wire: 1 }),
        }
    }
}

/// The fields of a message in the order in which they lie there. It ends after the first error.
pub(crate) struct Fields<'b> {
    rest: &'b [u8],
}

/// Reads a message.
pub(crate) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<Field<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'b> Fields<'b> {
    fn field(&mut self) -> Result<Field<'b>, Malformed> {
        let tag = self.varint()?;
        let number = tag >> WIRE_BITS;
        let field = u32::try_from(number).ok().filter(|field| (1..=HIGHEST_FIELD).contains(&u64::from(*field)));
        let field = field.ok_or(Malformed::Field(number))?;
        let content = match tag & ((1 << WIRE_BITS) - 1) {
            0 => Content::Number(self.varint()?),
            1 => self.take(8).map(|_| Content::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Cut)?;
                Content::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Content::Fixed)?,
            wire => return Err(Malformed::Wire { field, wire: u8::try_from(wire).unwrap_or(u8::MAX) }),
        };
        Ok(Field { number: field, content })
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let (number, rest) = varint(self.rest)?;
        self.rest = rest;
        Ok(number)
    }
}

/// Takes a number off, and returns it with what follows.
pub(super) fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(LONGEST_VARINT).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if at + 1 == LONGEST_VARINT && bits > 1 {
            return Err(Malformed::TooLong);
        }
        number |= bits << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((number, bytes.get(at + 1..).unwrap_or_default()));
        }
    }
    Err(if bytes.len() < LONGEST_VARINT { Malformed::Cut } else { Malformed::TooLong })
}

/// A message that is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// Puts a number behind all other fields.
    #[must_use]
    pub(crate) fn number(mut self, field: u32, number: u64) -> Self {
        self.varint(u64::from(field) << WIRE_BITS);
        self.varint(number);
        self
    }

    /// Puts bytes, or a message, behind all other fields.
    #[must_use]
    pub(crate) fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.varint(u64::from(field) << WIRE_BITS | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// Returns the message.
    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(message: &[u8]) -> Result<Vec<(u32, Content<'_>)>, Malformed> {
        fields(message).map(|field| field.map(|field| (field.number, field.content))).collect()
    }

    #[test]
    fn fields_come_in_order() {
        let message = b"\x08\x96\x01\x12\x02hi\x19\0\0\0\0\0\0\0\0\x25\0\0\0\0";
        let number = Content::Number(150);
        assert_eq!(
            read(message),
            Ok(vec![(1, number), (2, Content::Bytes(b"hi")), (3, Content::Fixed), (4, Content::Fixed)])
        );
        assert_eq!(read(b""), Ok(vec![]));
    }

    #[test]
    fn a_negative_number_takes_ten_bytes() {
        let message = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let field = fields(message).next().unwrap().unwrap();
        assert_eq!(field.signed(), Ok(-1));
        assert_eq!(field.bytes(), Err(Malformed::Wire { field: 1, wire: 0 }));
    }

    #[test]
    fn what_is_written_is_read() {
        let numbers = [0, 1, 0x7f, 0x80, 300, u64::from(u32::MAX), u64::MAX];
        for number in numbers {
            let message = Message::default().number(3, number).bytes(400, b"text").done();
            assert_eq!(read(&message), Ok(vec![(3, Content::Number(number)), (400, Content::Bytes(b"text"))]));
        }
    }

    #[rstest]
    #[case(b"\x08", Malformed::Cut)]
    #[case(b"\x08\x80", Malformed::Cut)]
    #[case(b"\x12\x05abc", Malformed::Cut)]
    #[case(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01abc", Malformed::Cut)]
    #[case(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", Malformed::TooLong)]
    #[case(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Malformed::TooLong)]
    #[case(b"\x00\x00", Malformed::Field(0))]
    #[case(b"\x0b", Malformed::Wire { field: 1, wire: 3 })]
    #[case(b"\x0e", Malformed::Wire { field: 1, wire: 6 })]
    #[case(b"\x09\0\0\0", Malformed::Cut)]
    fn damage_is_an_error(#[case] message: &[u8], #[case] malformed: Malformed) {
        assert_eq!(read(message), Err(malformed));
    }
}
