//! TYPE A: no border between chunks changes anything, sizes are what is sent, and a local text
//! comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::ascii::{Decoder, Encoder};

fn encode(chunks: &[&[u8]]) -> Vec<u8> {
    let (mut encoder, mut counter, mut out) = (Encoder::new(), Encoder::new(), Vec::new());
    let mut counted = 0;
    for chunk in chunks {
        encoder.encode(chunk, &mut out);
        counted += counter.encoded_len(chunk);
    }
    assert_eq!(u64::try_from(out.len()), Ok(counted));
    out
}

fn decode(chunks: &[&[u8]]) -> Vec<u8> {
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    chunks.iter().for_each(|chunk| decoder.decode(chunk, &mut out));
    decoder.finish(&mut out);
    out
}

fuzz_target!(|input: (&[u8], u8, u8)| {
    let (text, first, second) = input;
    let (left, rest) = text.split_at(usize::from(first).min(text.len()));
    let (middle, right) = rest.split_at(usize::from(second).min(rest.len()));
    let chunks = [left, middle, right];
    let network = encode(&[text]);
    assert_eq!(encode(&chunks), network);
    assert_eq!(decode(&chunks), decode(&[text]));
    if !text.contains(&b'\r') {
        assert_eq!(decode(&[&network]), text);
    }
    assert_eq!(encode(&[&network]), network, "what is text of the network already stays");
});
