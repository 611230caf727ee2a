//! Lines are the same however their bytes are cut, keep to the limit and hold no end and no NUL;
//! after any input the reader still reads the next line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::line::{LineError, LineReader};

const LIMIT: usize = 64;

fn read(chunks: &[&[u8]]) -> Vec<Result<Vec<u8>, LineError>> {
    let mut reader = LineReader::new(LIMIT);
    let mut lines = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        while let Some(line) = reader.next_line() {
            if let Ok(line) = &line {
                assert!(line.len() <= LIMIT && !line.contains(&b'\n') && !line.contains(&0));
            }
            lines.push(line.map(<[u8]>::to_vec));
        }
        assert!(reader.partial().len() <= LIMIT + 1, "it keeps no more than it needs");
    }
    lines
}

fuzz_target!(|input: (&[u8], Vec<u8>)| {
    let (bytes, cuts) = input;
    let whole = read(&[bytes]);
    let mut chunks = Vec::new();
    let mut rest = bytes;
    for cut in cuts {
        let (chunk, behind) = rest.split_at(usize::from(cut).min(rest.len()));
        chunks.push(chunk);
        rest = behind;
    }
    chunks.push(rest);
    assert_eq!(read(&chunks), whole);

    // Two line ends finish whatever was begun, a Telnet command too.
    let mut reader = LineReader::new(LIMIT);
    reader.push(bytes);
    reader.push(b"\r\n\r\n\r\nNOOP\r\n");
    let mut last = None;
    while let Some(line) = reader.next_line() {
        last = Some(line.map(<[u8]>::to_vec));
    }
    assert_eq!(last, Some(Ok(b"NOOP".to_vec())));
});
