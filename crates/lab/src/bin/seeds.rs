//! Writes what is said in `sessions/` into `fuzz/corpus`, where the fuzz targets begin.
//!
//! It takes no arguments and overwrites only what it wrote before.

use twoport_lab::player::{corpus, files};

fn main() -> Result<(), String> {
    corpus::write(&files::all()?, &files::root().join("fuzz/corpus"))
}
