//! How fast listings are written and read, and text converted: `cargo bench -p twoport-proto`.
//!
//! It measures no socket and no file system. What a listing of 100,000 files may cost as a whole
//! stands in the performance notes; these are the parts of it that the protocol core answers for.

use std::borrow::Cow;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use twoport_proto::ascii::{Decoder, Encoder};
use twoport_proto::glob::Glob;
use twoport_proto::list::facts::{self, FactSet};
use twoport_proto::list::{Entry, Kind, Perm, names, parse_line, unix};
use twoport_proto::time::Timestamp;

const ENTRIES: u32 = 10_000;
const NOW: Timestamp = Timestamp::from_seconds(1_795_354_848);

fn main() {
    divan::main();
}

fn file_names() -> Vec<Vec<u8>> {
    (0..ENTRIES).map(|number| format!("file-{number:06}.dat").into_bytes()).collect()
}

fn entry(name: &[u8], number: u32) -> Entry<'_> {
    Entry {
        size: Some(u64::from(number) * 977),
        modified: Some(Timestamp::from_seconds(NOW.seconds - i64::from(number) * 3600)),
        mode: Some(0o644),
        links: Some(1),
        owner: Some(Cow::Borrowed(b"ann")),
        group: Some(Cow::Borrowed(b"staff")),
        uid: Some(1000),
        gid: Some(100),
        unique: Some((0xfd01, u64::from(number) + 0x12_0000)),
        perm: Some(Perm::ALL),
        ..Entry::new(name, Kind::File)
    }
}

/// Writes every entry into one buffer of 64 KiB that is emptied when full, as the server does.
fn write_all(bencher: Bencher<'_, '_>, write: impl Fn(&mut Vec<u8>, &Entry<'_>) -> bool + Sync) {
    let names = file_names();
    let mut out = Vec::with_capacity(1 << 16);
    bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| {
        for (name, number) in names.iter().zip(0..) {
            if out.len() > (1 << 16) - 512 {
                out.clear();
            }
            divan::black_box(write(&mut out, &entry(name, number)));
        }
    });
}

#[divan::bench]
fn write_unix(bencher: Bencher<'_, '_>) {
    write_all(bencher, |out, entry| unix::write(out, entry, NOW));
}

#[divan::bench]
fn write_facts_default(bencher: Bencher<'_, '_>) {
    write_all(bencher, |out, entry| facts::write(out, entry, FactSet::DEFAULT));
}

#[divan::bench]
fn write_facts_all(bencher: Bencher<'_, '_>) {
    write_all(bencher, |out, entry| facts::write(out, entry, FactSet::ALL));
}

#[divan::bench]
fn write_names(bencher: Bencher<'_, '_>) {
    write_all(bencher, |out, entry| names::write(out, &entry.name));
}

fn parse_all(bencher: Bencher<'_, '_>, write: impl Fn(&mut Vec<u8>, &Entry<'_>) -> bool) {
    let mut listing = Vec::new();
    for (name, number) in file_names().iter().zip(0..) {
        write(&mut listing, &entry(name, number));
    }
    bencher.counter(ItemsCount::new(ENTRIES)).bench(|| {
        let lines = listing.split_inclusive(|&byte| byte == b'\n');
        lines.filter_map(|line| parse_line(line, NOW)).map(|entry| entry.name.len()).sum::<usize>()
    });
}

#[divan::bench]
fn parse_unix(bencher: Bencher<'_, '_>) {
    parse_all(bencher, |out, entry| unix::write(out, entry, NOW));
}

#[divan::bench]
fn parse_facts(bencher: Bencher<'_, '_>) {
    parse_all(bencher, |out, entry| facts::write(out, entry, FactSet::ALL));
}

/// A mebibyte of lines of this length, their LF included.
fn text(line: usize) -> Vec<u8> {
    let mut line = vec![b'x'; line - 1];
    line.push(b'\n');
    line.into_iter().cycle().take(1 << 20).collect()
}

#[divan::bench(args = [8, 40, 120, 4096])]
fn ascii_encode(bencher: Bencher<'_, '_>, line: usize) {
    let text = text(line);
    let mut out = Vec::with_capacity(2 * text.len());
    bencher.counter(BytesCount::of_slice(&text)).bench_local(|| {
        out.clear();
        Encoder::new().encode(divan::black_box(&text), &mut out);
        out.len()
    });
}

#[divan::bench(args = [8, 40, 120, 4096])]
fn ascii_encoded_len(bencher: Bencher<'_, '_>, line: usize) {
    let text = text(line);
    bencher
        .counter(BytesCount::of_slice(&text))
        .bench(|| Encoder::new().encoded_len(divan::black_box(&text)));
}

#[divan::bench(args = [8, 40, 120, 4096])]
fn ascii_decode(bencher: Bencher<'_, '_>, line: usize) {
    let mut network = Vec::new();
    Encoder::new().encode(&text(line), &mut network);
    let mut out = Vec::with_capacity(network.len() + 1);
    bencher.counter(BytesCount::of_slice(&network)).bench_local(|| {
        out.clear();
        Decoder::new().decode(divan::black_box(&network), &mut out);
        out.len()
    });
}

#[divan::bench(args = ["*.dat", "*-00*9.dat", "*0*0*0*0*x"])]
fn glob_match(bencher: Bencher<'_, '_>, pattern: &str) {
    let (names, glob) = (file_names(), Glob::new(pattern.as_bytes()));
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .bench(|| names.iter().filter(|name| glob.matches(name)).count());
}
