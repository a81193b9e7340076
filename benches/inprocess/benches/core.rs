//! The protocol core: headers, masking, UTF-8, echoes.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use sockeye::protocol::{Header, mask};
use sockeye_inprocess::{Echo, KEY, Kind, frames};

/// The number of messages in one read.
const BATCH: usize = 16;

fn main() {
    divan::main();
}

/// Decodes and checks the header of a client's frame.
#[divan::bench]
fn header(bencher: Bencher<'_, '_>) {
    let bytes = frames(Kind::Binary, 0, 1);
    bencher.bench_local(move || Header::decode(black_box(&bytes), 1024).is_ok_and(|header| header.is_some()));
}

#[divan::bench(args = [20, 125, 1024, 16_384, 262_144])]
fn masking(bencher: Bencher<'_, '_>, size: usize) {
    let mut bytes = vec![b'a'; size];
    bencher.counter(BytesCount::new(size)).bench_local(|| mask::apply(KEY, 0, black_box(&mut bytes)));
}

/// Like `masking`, with an unaligned address and an unaligned position in the key.
#[divan::bench(args = [20, 1024, 16_384])]
fn masking_unaligned(bencher: Bencher<'_, '_>, size: usize) {
    let mut bytes = vec![b'a'; size + 1];
    bencher.counter(BytesCount::new(size)).bench_local(|| mask::apply(KEY, 3, black_box(&mut bytes[1..])));
}

#[divan::bench(args = [20, 1024, 16_384, 262_144])]
fn echo_binary(bencher: Bencher<'_, '_>, size: usize) {
    echo(bencher, Kind::Binary, size);
}

/// The difference from `echo_binary` is the cost of validating UTF-8.
#[divan::bench(args = [20, 1024, 16_384, 262_144])]
fn echo_text(bencher: Bencher<'_, '_>, size: usize) {
    echo(bencher, Kind::Ascii, size);
}

/// Like `echo_text`, with characters of one to four bytes.
#[divan::bench(args = [20, 1024, 16_384, 262_144])]
fn echo_text_mixed(bencher: Bencher<'_, '_>, size: usize) {
    echo(bencher, Kind::Mixed, size);
}

fn echo(bencher: Bencher<'_, '_>, kind: Kind, size: usize) {
    let (read, mut connection) = (frames(kind, size, BATCH), open());
    let bytes = BytesCount::new(size * BATCH);
    bencher
        .counter(ItemsCount::new(BATCH))
        .counter(bytes)
        .bench_local(|| connection.turn(black_box(&read)).is_ok());
}

/// Opens a connection. Panics if the opening handshake fails, because divan cannot report an error.
fn open() -> Echo {
    Echo::open().expect("a valid opening handshake is accepted")
}

/// Echoes a message that arrives in two reads and is split within its payload.
#[divan::bench(args = [1024, 16_384])]
fn echo_split(bencher: Bencher<'_, '_>, size: usize) {
    let (read, mut connection) = (frames(Kind::Binary, size, 1), open());
    let (first, second) = read.split_at(read.len() / 2);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        connection.turn(black_box(first)).is_ok() && connection.turn(black_box(second)).is_ok()
    });
}
