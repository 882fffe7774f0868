//! The wire format: varints, lengths, tags.

use super::decode::DecodeError;

/// A field's content, by wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// The fields of a message in the order of the wire.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of an encoded message.
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's number and content.
    pub fn next_field(&mut self) -> Result<Option<(u32, Payload<'a>)>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0 && *number < 1 << 29);
        let number = number.ok_or(DecodeError::Malformed("illegal tag"))?;
        let payload = match key & 7 {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| DecodeError::UnexpectedEnd)?;
                Payload::Bytes(self.take(len)?)
            }
            5 => Payload::Fixed32(u32::from_le_bytes(self.array()?)),
            // Groups are of the protobuf before Kubernetes.
            _ => return Err(DecodeError::Malformed("illegal wire type")),
        };
        Ok(Some((number, payload)))
    }

    /// The next varint.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Malformed("integer overflow"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?.try_into().map_err(|_| DecodeError::UnexpectedEnd)
    }
}

/// A buffer that is written from its end to its beginning, so that a message's length is known when it is written.
pub struct Reversed {
    buffer: Vec<u8>,
    start: usize,
}

impl Reversed {
    /// An empty buffer with room for so many bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: vec![0; capacity], start: capacity }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Writes bytes before what is there.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if self.start < bytes.len() {
            self.grow(bytes.len());
        }
        let start = self.start - bytes.len();
        if let Some(target) = self.buffer.get_mut(start..self.start) {
            target.copy_from_slice(bytes);
            self.start = start;
        }
    }

    /// Writes a varint before what is there.
    pub fn varint(&mut self, mut value: u64) {
        let mut encoded = [0; 10];
        let mut len = 0;
        for slot in &mut encoded {
            len += 1;
            let low = u8::try_from(value & 0x7f).unwrap_or_default();
            value >>= 7;
            *slot = if value == 0 { low } else { low | 0x80 };
            if value == 0 {
                break;
            }
        }
        self.bytes(encoded.get(..len).unwrap_or_default());
    }

    /// Writes a varint member before what is there.
    pub fn varint_field(&mut self, number: u32, value: u64) {
        self.varint(value);
        self.varint(u64::from(number) << 3);
    }

    /// Writes a member of eight bytes before what is there.
    pub fn fixed64_field(&mut self, number: u32, value: u64) {
        self.bytes(&value.to_le_bytes());
        self.varint(u64::from(number) << 3 | 1);
    }

    /// Writes a member of bytes before what is there.
    pub fn bytes_field(&mut self, number: u32, value: &[u8]) {
        let end = self.len();
        self.bytes(value);
        self.header(number, end);
    }

    /// Writes the tag and length of the member whose content has been written since the buffer held `end` bytes.
    pub fn header(&mut self, number: u32, end: usize) {
        self.varint((self.len() - end) as u64);
        self.varint(u64::from(number) << 3 | 2);
    }

    /// The bytes in their order.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.buffer.drain(..self.start);
        self.buffer
    }

    fn grow(&mut self, room: usize) {
        let more = self.buffer.len().max(room).max(64);
        let mut buffer = vec![0; more + self.buffer.len()];
        let start = self.start + more;
        if let (Some(target), Some(written)) = (buffer.get_mut(start..), self.buffer.get(self.start..)) {
            target.copy_from_slice(written);
        }
        self.buffer = buffer;
        self.start = start;
    }
}
