//! Lets Go's gRPC clients in on Unix sockets.
//!
//! There they send the socket's path as `:authority`, as it is or percent-encoded. No authority of a URL looks like
//! that, and the HTTP/2 library resets such a request as malformed. So the header is replaced before the library sees
//! it; nothing reads its value.
//!
//! The replacement keeps the length of the decoded value, because that counts in the size of HPACK's dynamic table,
//! which client and server must agree on. It consists of zeros, whose Huffman code is the shortest there is, so that a
//! frame never grows.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::uri::Authority;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What an HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER_BYTES: usize = 9;
/// The largest frame that a client may send, since this server does not allow more.
const MAX_FRAME_BYTES: usize = 16_384;
const HEADERS: u8 = 1;
const FLAG_PADDED: u8 = 0x8;
const FLAG_PRIORITY: u8 = 0x20;
const PRIORITY_BYTES: usize = 5;

/// A connection whose requests have an acceptable authority.
#[derive(Debug)]
pub(super) struct LenientAuthority<S> {
    inner: S,
    rewriter: Rewriter,
    input: Box<[u8]>,
    output: Vec<u8>,
    /// How much of `output` has been read.
    taken: usize,
}

impl<S> LenientAuthority<S> {
    pub(super) fn new(inner: S) -> Self {
        let input = vec![0; MAX_FRAME_BYTES].into();
        Self { inner, rewriter: Rewriter::default(), input, output: Vec::new(), taken: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LenientAuthority<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let left = this.output.get(this.taken..).unwrap_or_default();
            if !left.is_empty() {
                let now = left.get(..buffer.remaining()).unwrap_or(left);
                buffer.put_slice(now);
                this.taken += now.len();
                return Poll::Ready(Ok(()));
            }
            this.output.clear();
            this.taken = 0;
            let mut input = ReadBuf::new(&mut this.input);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut input))?;
            if input.filled().is_empty() {
                this.rewriter.finish(&mut this.output);
                if this.output.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.rewriter.feed(input.filled(), &mut this.output);
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LenientAuthority<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Passes on what a client sends, with the authority of requests made acceptable.
#[derive(Debug, Default)]
struct Rewriter {
    state: State,
    /// What has come but cannot be judged yet. Never more than one frame.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the end of the preface.
    #[default]
    Preface,
    /// Before a frame.
    Frame,
    /// Within a frame that is passed on as it is.
    Payload {
        /// Bytes of it still to come.
        left: usize,
    },
    /// Not HTTP/2.
    Verbatim,
}

impl Rewriter {
    /// Takes what has come and appends what can be passed on.
    fn feed(&mut self, input: &[u8], output: &mut Vec<u8>) {
        if self.state == State::Verbatim {
            output.extend_from_slice(input);
            return;
        }
        self.held.extend_from_slice(input);
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while let Some(used) = self.step(rest, output) {
            rest = rest.get(used..).unwrap_or_default();
        }
        self.held = rest.to_vec();
    }

    /// The client will not send more.
    fn finish(&mut self, output: &mut Vec<u8>) {
        output.append(&mut self.held);
    }

    /// Passes on a piece of `input` and returns its length; `None` if more must come first.
    fn step(&mut self, input: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        match self.state {
            State::Preface => {
                let known = input.get(..PREFACE.len()).unwrap_or(input);
                if !PREFACE.starts_with(known) {
                    self.state = State::Verbatim;
                    return Some(0);
                }
                if known.len() < PREFACE.len() {
                    return None;
                }
                self.state = State::Frame;
                output.extend_from_slice(PREFACE);
                Some(PREFACE.len())
            }
            State::Frame => {
                let header = input.get(..FRAME_HEADER_BYTES)?;
                let &[a, b, c, kind, flags, ..] = header else { return None };
                let payload_len = u32::from_be_bytes([0, a, b, c]) as usize;
                if kind != HEADERS || payload_len > MAX_FRAME_BYTES {
                    output.extend_from_slice(header);
                    self.state = State::Payload { left: payload_len };
                    return Some(FRAME_HEADER_BYTES);
                }
                let payload = input.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + payload_len)?;
                let rewritten = rewrite_headers(flags, payload);
                let payload = rewritten.as_deref().unwrap_or(payload);
                let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
                output.extend_from_slice(&length);
                output.extend_from_slice(header.get(length.len()..).unwrap_or_default());
                output.extend_from_slice(payload);
                Some(FRAME_HEADER_BYTES + payload_len)
            }
            State::Payload { left: 0 } => {
                self.state = State::Frame;
                Some(0)
            }
            State::Payload { .. } | State::Verbatim if input.is_empty() => None,
            State::Payload { left } => {
                let now = input.get(..left).unwrap_or(input);
                output.extend_from_slice(now);
                self.state = State::Payload { left: left - now.len() };
                Some(now.len())
            }
            State::Verbatim => {
                output.extend_from_slice(input);
                Some(input.len())
            }
        }
    }
}

/// The payload of a HEADERS frame with an acceptable authority; `None` if it has one already, or none, or cannot be
/// understood, which the HTTP/2 library is left to judge.
fn rewrite_headers(flags: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let padding = usize::from(flags & FLAG_PADDED != 0);
    let priority = if flags & FLAG_PRIORITY == 0 { 0 } else { PRIORITY_BYTES };
    let start = padding + priority;
    let value = find_authority(payload.get(start..)?)?;
    let decoded = value.decode()?;
    if decoded.is_empty() || Authority::try_from(decoded.as_slice()).is_ok() {
        return None;
    }
    let mut rewritten = payload.get(..start + value.start)?.to_vec();
    put_zeros(&mut rewritten, decoded.len());
    rewritten.extend_from_slice(payload.get(start + value.end..)?);
    Some(rewritten)
}

/// A string within a header block (RFC 7541, section 5.2).
#[derive(Debug, PartialEq, Eq)]
struct StringLiteral<'a> {
    /// Where its length begins in the block.
    start: usize,
    /// Where it ends.
    end: usize,
    huffman: bool,
    bytes: &'a [u8],
}

impl StringLiteral<'_> {
    fn decode(&self) -> Option<Vec<u8>> {
        if self.huffman { huffman::decode(self.bytes) } else { Some(self.bytes.to_vec()) }
    }
}

/// The literal value of `:authority` in a header block (RFC 7541, section 6).
fn find_authority(block: &[u8]) -> Option<StringLiteral<'_>> {
    /// The place of `:authority` in the static table.
    const AUTHORITY: usize = 1;
    let mut reader = Reader { block, position: 0 };
    loop {
        let first = *block.get(reader.position)?;
        let index_bits = match first {
            // Indexed, and a change of the table's size: no strings.
            0x80.. => {
                reader.integer(7)?;
                continue;
            }
            0x20..=0x3f => {
                reader.integer(5)?;
                continue;
            }
            0x40..=0x7f => 6,
            0x00..=0x1f => 4,
        };
        let name = reader.integer(index_bits)?;
        if name == 0 {
            reader.string()?;
        }
        let value = reader.string()?;
        if name == AUTHORITY {
            return Some(value);
        }
    }
}

struct Reader<'a> {
    block: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// An integer whose first byte has `bits` bits of it (RFC 7541, section 5.1).
    fn integer(&mut self, bits: u32) -> Option<usize> {
        let mask = (1_usize << bits) - 1;
        let mut value = usize::from(self.byte()?) & mask;
        if value < mask {
            return Some(value);
        }
        let mut shift = 0;
        loop {
            let byte = usize::from(self.byte()?);
            value += (byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            // Nothing in a frame is that long.
            if shift > 21 {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<StringLiteral<'a>> {
        let start = self.position;
        let huffman = *self.block.get(start)? & 0x80 != 0;
        let len = self.integer(7)?;
        let bytes = self.block.get(self.position..self.position + len)?;
        self.position += len;
        Some(StringLiteral { start, end: self.position, huffman, bytes })
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.block.get(self.position)?;
        self.position += 1;
        Some(byte)
    }
}

/// Appends a string of `len` zeros, in Huffman code: five bits 0 each, and padding of bits 1.
fn put_zeros(out: &mut Vec<u8>, len: usize) {
    const CODE_BITS: usize = 5;
    let bits = len * CODE_BITS;
    put_integer(out, 0x80, 7, bits.div_ceil(8));
    out.resize(out.len() + bits / 8, 0);
    if !bits.is_multiple_of(8) {
        out.push(0xff >> (bits % 8));
    }
}

/// Appends an integer of which the first byte, whose other bits are `first`, has `bits` bits.
fn put_integer(out: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let mask = (1_usize << bits) - 1;
    let low = |value: usize| u8::try_from(value & 0xff).unwrap_or(u8::MAX);
    if value < mask {
        out.push(first | low(value));
        return;
    }
    out.push(first | low(mask));
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(0x80 | low(rest & 0x7f));
        rest >>= 7;
    }
    out.push(low(rest));
}

/// HPACK's Huffman code (RFC 7541, appendix B). It is canonical: the lengths of the codes determine them.
mod huffman {
    /// Bits of each byte's code, and last those of the end mark.
    const CODE_BITS: [u8; 257] = [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28,
        28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15,
        6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22,
        20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23,
        23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22,
        22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26,
        27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27,
        26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
    ];
    const MAX_CODE_BITS: usize = 30;

    /// The bytes of a coded string; `None` if it is not one.
    pub(super) fn decode(coded: &[u8]) -> Option<Vec<u8>> {
        let mut symbols: Vec<(u8, usize)> = CODE_BITS.iter().copied().zip(0..).collect();
        symbols.sort_unstable();
        let mut count = [0_u32; MAX_CODE_BITS + 1];
        for bits in CODE_BITS {
            *count.get_mut(usize::from(bits))? += 1;
        }
        let mut decoded = Vec::new();
        let mut bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |shift| u32::from(byte >> shift & 1)));
        loop {
            // The code so far, the first code of its length, and how many symbols have shorter codes.
            let (mut code, mut first, mut shorter) = (0, 0, 0);
            let mut length = 0;
            let symbol = loop {
                let Some(bit) = bits.next() else {
                    // What is left must be padding: fewer than eight bits, all of them 1.
                    return (length < 8 && code + 1 == 1 << length).then_some(decoded);
                };
                length += 1;
                code = code << 1 | bit;
                first <<= 1;
                let here = *count.get(length)?;
                if code < first + here {
                    break symbols.get((shorter + code - first) as usize)?.1;
                }
                first += here;
                shorter += here;
            };
            decoded.push(u8::try_from(symbol).ok()?);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What etcdctl 3.5 sends to `unix:///tmp/probe.sock`: method, scheme, path and the authority `/tmp/probe.sock`.
    const ETCDCTL: &[u8] =
        b"\x83\x86E\x90`\xa9$\x88-\x9d\xcbeq\xaf\x9b\x8b\x1bGT\xc5A\x8ba4\xd6\xc5v\x1e2\xae\x83\x93\xaf_\x8b\x1du\xd0b\r&=LMedz";

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// Feeds it in pieces of this size.
    fn pass(input: &[u8], piece: usize) -> Vec<u8> {
        let mut rewriter = Rewriter::default();
        let mut output = Vec::new();
        input.chunks(piece).for_each(|input| rewriter.feed(input, &mut output));
        rewriter.finish(&mut output);
        output
    }

    #[test]
    fn a_path_is_replaced_by_as_many_zeros() {
        let value = find_authority(ETCDCTL).unwrap();
        assert_eq!(value.decode().unwrap(), b"/tmp/probe.sock");
        let rewritten = rewrite_headers(4, ETCDCTL).unwrap();
        assert!(rewritten.len() <= ETCDCTL.len());
        let replaced = find_authority(&rewritten).unwrap();
        assert_eq!(replaced.decode().unwrap(), b"000000000000000");
        assert_eq!(rewritten[..value.start], ETCDCTL[..value.start]);
        assert_eq!(rewritten[replaced.end..], ETCDCTL[value.end..]);
    }

    #[test]
    fn padding_and_priority_are_skipped() {
        let payload = [&[2, 0, 0, 0, 0, 16], ETCDCTL, &[0, 0]].concat();
        let rewritten = rewrite_headers(4 | FLAG_PADDED | FLAG_PRIORITY, &payload).unwrap();
        let plain = rewrite_headers(4, ETCDCTL).unwrap();
        assert_eq!(rewritten, [&[2, 0, 0, 0, 0, 16], &plain[..], &[0, 0]].concat());
    }

    #[test]
    fn what_is_acceptable_stays() {
        for authority in ["localhost", "127.0.0.1:2379", "[::1]:2379", "etcd.sock"] {
            let length = u8::try_from(authority.len()).unwrap();
            let block = [&[0x83, 0x41, length], authority.as_bytes()].concat();
            assert_eq!(find_authority(&block).unwrap().bytes, authority.as_bytes());
            assert_eq!(rewrite_headers(4, &block), None, "{authority}");
        }
        let block = [&[0x41, 12], &b"%2Fetcd.sock"[..]].concat();
        assert!(rewrite_headers(4, &block).is_some(), "newer clients encode the path");
    }

    #[test]
    fn frames_are_found_however_the_bytes_come() {
        let rewritten = rewrite_headers(4, ETCDCTL).unwrap();
        let connection = |headers: &[u8]| {
            let frames =
                [frame(4, 0, &[]), frame(HEADERS, 4, headers), frame(0, 1, &[7; 300]), frame(HEADERS, 4, headers)];
            [PREFACE.to_vec(), frames.concat()].concat()
        };
        for piece in [1, 2, 7, 100, 10_000] {
            assert_eq!(pass(&connection(ETCDCTL), piece), connection(&rewritten), "pieces of {piece}");
        }
    }

    #[test]
    fn other_protocols_pass_as_they_are() {
        for input in [&b"GET /health HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/1", b"PR", b"", &frame(HEADERS, 4, ETCDCTL)] {
            for piece in [1, 5, 1000] {
                assert_eq!(pass(input, piece), input);
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_lose_bytes(input in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50) {
            let input = [PREFACE, &input].concat();
            let output = pass(&input, piece);
            prop_assert!(output.len() <= input.len());
            let _ = rewrite_headers(4, &input);
            let _ = huffman::decode(&input);
        }

        #[test]
        fn zeros_decode_to_zeros(len in 0_usize..5000) {
            let mut block = Vec::new();
            put_zeros(&mut block, len);
            let value = Reader { block: &block, position: 0 }.string().unwrap();
            prop_assert_eq!(value.end, block.len());
            prop_assert_eq!(value.decode().unwrap(), vec![b'0'; len]);
        }
    }
}
