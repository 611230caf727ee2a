//! TYPE A, the text of the network: LF here, CRLF there, converted chunk by chunk in both directions.
//!
//! It does not translate character sets, and it is not lossless: a text whose lines already ended in
//! CRLF comes back with LF. A caller that wants the same bytes back uses TYPE I.

use alloc::vec::Vec;

/// Local text to network text (RFC 959 §3.1.1.1): a bare LF becomes CRLF.
///
/// A CRLF in the file stays CRLF. Doubling its CR, as the BSD servers do, gives every file that came
/// from Windows a stray CR per line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder {
    /// The last byte seen was a CR, so an LF that begins the next chunk is not bare.
    after_cr: bool,
}

impl Encoder {
    /// An encoder at the start of a file.
    #[must_use]
    pub const fn new() -> Self {
        Self { after_cr: false }
    }

    /// Appends the network form of `chunk` to `out`: at most twice as many bytes.
    pub fn encode(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        // Origin of the 1/16: text with lines of 16 bytes; shorter lines grow `out` once more.
        out.reserve(chunk.len() + chunk.len() / 16);
        let mut rest = chunk;
        while let Some((run, tail)) = split_at_byte(rest, b'\n') {
            let bare = !self.ends_in_cr(run);
            out.extend_from_slice(run);
            out.extend_from_slice(if bare { b"\r\n" } else { b"\n" });
            self.after_cr = false;
            rest = tail;
        }
        out.extend_from_slice(rest);
        self.after_cr = self.ends_in_cr(rest);
    }

    /// How many bytes [`Encoder::encode`] would append for `chunk`, moving on as it does.
    ///
    /// The sum over a file is its SIZE in TYPE A, which must be what RETR would send (RFC 3659 §4).
    /// It takes reading the whole file: the caller decides up to which length that is worth it.
    pub fn encoded_len(&mut self, chunk: &[u8]) -> u64 {
        let Some((&first, rest)) = chunk.split_first() else { return 0 };
        let bare_first = first == b'\n' && !self.after_cr;
        let pairs = chunk.iter().zip(rest);
        let bare = pairs.filter(|&(&before, &byte)| byte == b'\n' && before != b'\r').count();
        self.after_cr = self.ends_in_cr(chunk);
        let bytes = chunk.len().saturating_add(bare).saturating_add(usize::from(bare_first));
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    fn ends_in_cr(self, run: &[u8]) -> bool {
        run.last().map_or(self.after_cr, |&last| last == b'\r')
    }
}

/// Network text to local text: CRLF becomes LF, and CR NUL becomes CR.
///
/// CR NUL is how a Telnet stream spells a bare CR (RFC 854, which RFC 959 §3.1.1.1 refers to). A CR
/// before anything else passes as it is, and so does a bare LF: senders of both exist, and dropping
/// their bytes would damage files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    /// The last chunk ended in a CR: the next byte decides what it means.
    held: bool,
}

impl Decoder {
    /// A decoder at the start of a file.
    #[must_use]
    pub const fn new() -> Self {
        Self { held: false }
    }

    /// Appends the local form of `chunk` to `out`: at most one byte more than it has. A CR at the
    /// end of the chunk is held back until the next one, or until [`Decoder::finish`].
    pub fn decode(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if chunk.is_empty() {
            return;
        }
        out.reserve(chunk.len() + 1);
        let mut rest = if self.held { after_cr(chunk, out) } else { chunk };
        self.held = false;
        while let Some((run, tail)) = split_at_byte(rest, b'\r') {
            out.extend_from_slice(run);
            if tail.is_empty() {
                self.held = true;
                return;
            }
            rest = after_cr(tail, out);
        }
        out.extend_from_slice(rest);
    }

    /// The end of the file: a CR that was held back had nothing after it.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.held {
            out.push(b'\r');
            self.held = false;
        }
    }
}

/// Settles a CR by what follows it. The LF of a CRLF is left in place, to be copied with its run.
fn after_cr<'a>(next: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    match next.split_first() {
        Some((b'\n', _)) => next,
        Some((0, rest)) => {
            out.push(b'\r');
            rest
        }
        _ => {
            out.push(b'\r');
            next
        }
    }
}

/// What comes before the first `needle` and what comes after it.
fn split_at_byte(bytes: &[u8], needle: u8) -> Option<(&[u8], &[u8])> {
    let (before, from) = bytes.split_at_checked(find(bytes, needle)?)?;
    Some((before, from.get(1..)?))
}

/// Where the first `needle` is. Eight bytes a step: lines are short, so wider steps do not pay.
fn find(bytes: &[u8], needle: u8) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let zero_where_equal = u64::from_le_bytes(*word) ^ (ONES * u64::from(needle));
        // The lowest top bit set marks the first zero byte; only those above it can be false marks.
        let marks = zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & TOPS;
        if marks != 0 {
            return Some(index * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|&byte| byte == needle)?;
    Some(words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn encode(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut encoder, mut counter, mut out) = (Encoder::new(), Encoder::new(), vec![]);
        for chunk in chunks {
            let before = out.len();
            encoder.encode(chunk, &mut out);
            assert_eq!(counter.encoded_len(chunk), (out.len() - before) as u64, "{chunks:?}");
        }
        out
    }

    fn decode(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut decoder, mut out) = (Decoder::new(), vec![]);
        chunks.iter().for_each(|chunk| decoder.decode(chunk, &mut out));
        decoder.finish(&mut out);
        out
    }

    /// Every text of up to seven letters out of `alphabet`.
    fn texts(alphabet: &[u8]) -> Vec<Vec<u8>> {
        let mut all = vec![vec![]];
        let mut last = all.clone();
        for _ in 0..7 {
            let longer = last.iter().flat_map(|text| {
                alphabet.iter().map(move |&letter| [text.as_slice(), &[letter]].concat())
            });
            last = longer.collect();
            all.extend_from_slice(&last);
        }
        all
    }

    #[test]
    fn a_line_feed_goes_out_as_crlf_once() {
        assert_eq!(encode(&[b"a\nb\r\nc\rd\n\n"]), b"a\r\nb\r\nc\rd\r\n\r\n");
        assert_eq!(encode(&[b"a\r", b"\nb", b"", b"\n"]), b"a\r\nb\r\n");
        assert_eq!(encode(&[b"a\r", b"", b"\n"]), b"a\r\n");
        assert_eq!(encode(&[b"\n", b"\n"]), b"\r\n\r\n");
        assert_eq!(encode(&[b"", b"no end"]), b"no end");
    }

    #[test]
    fn crlf_comes_in_as_a_line_feed() {
        assert_eq!(decode(&[b"a\r\nb\rc\nd\r\0e"]), b"a\nb\rc\nd\re");
        assert_eq!(
            decode(&[b"a\r", b"\nb\r", b"\0c\r", b"d\r", b"\r\n", b"\r"]),
            b"a\nb\rc\rd\r\n\r"
        );
        assert_eq!(decode(&[b"\r", b"", b"\n"]), b"\n");
        assert_eq!(decode(&[b"\0\r\r\0"]), b"\0\r\r");
    }

    #[test]
    fn no_chunk_border_changes_anything() {
        for text in texts(b"a\r\n\0") {
            let (network, local) = (encode(&[&text]), decode(&[&text]));
            for cut in 0..=text.len() {
                let (left, right) = text.split_at(cut);
                assert_eq!(encode(&[left, right]), network, "{text:?} at {cut}");
                assert_eq!(decode(&[left, right]), local, "{text:?} at {cut}");
            }
        }
    }

    #[test]
    fn what_goes_out_comes_back() {
        for text in texts(b"ab\n") {
            assert_eq!(decode(&[&encode(&[&text])]), text);
            assert_eq!(encode(&[&decode(&[&encode(&[&text])])]), encode(&[&text]));
        }
    }

    #[test]
    fn a_byte_is_found_at_every_offset_whatever_surrounds_it() {
        for length in 0..40 {
            for around in [0x00, 0x01, 0x0b, 0x0c, 0x7f, 0x80, 0x8a, 0xff_u8] {
                let mut bytes = vec![around; length];
                assert_eq!(find(&bytes, b'\n'), None);
                for at in (0..length).rev() {
                    bytes[at] = b'\n';
                    assert_eq!(find(&bytes, b'\n'), Some(at));
                }
            }
        }
    }
}
