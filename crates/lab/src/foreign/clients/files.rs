//! The files on both sides of a transfer: what is put there, and whether what came is the same.
//!
//! It knows no client and no server.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Whether it worked: `false` is a client that has no words for it.
pub type Trial = Result<bool, String>;

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<PathBuf, String> {
    let said = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(said)?;
    }
    fs::write(path, bytes).map_err(said)?;
    Ok(path.to_owned())
}

pub(super) fn same(path: impl AsRef<Path>, expected: &[u8]) -> Trial {
    let path = path.as_ref();
    let found = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if found == expected {
        return Ok(true);
    }
    let at = found.iter().zip(expected).position(|(one, other)| one != other);
    let (have, want) = (found.len(), expected.len());
    Err(format!("{}: {have} bytes, not {want}; first difference {at:?}", path.display()))
}

pub(super) fn absent(path: &Path) -> Trial {
    if path.exists() { Err(format!("{} is there", path.display())) } else { Ok(true) }
}

/// Bytes in which every value occurs, the same in every run.
#[must_use]
pub fn random(length: usize) -> Vec<u8> {
    seeded(0, length)
}

/// The same, but others for each seed.
#[must_use]
pub fn seeded(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

/// A tree of files: path and content.
fn tree() -> BTreeMap<PathBuf, Vec<u8>> {
    let files = ["a.txt", "b c.bin", "sub/empty", "sub/\u{fc}ber/deep.bin", "sub/two words/x"];
    let mut tree: BTreeMap<_, _> =
        files.map(|name| (name.into(), random(name.len() * 1000))).into();
    tree.insert("sub/empty".into(), Vec::new());
    tree
}

pub(super) fn plant(root: &Path) -> Result<(), String> {
    for (path, bytes) in tree() {
        write(&root.join(path), &bytes)?;
    }
    Ok(())
}

/// Whether the tree is below `root`, whole and with nothing else.
pub(super) fn planted(root: &Path) -> Trial {
    let mut found = BTreeMap::new();
    gather(root, Path::new(""), &mut found).map_err(|error| error.to_string())?;
    let expected = tree();
    if found == expected {
        return Ok(true);
    }
    let names = |tree: &BTreeMap<PathBuf, Vec<u8>>| -> Vec<(PathBuf, usize)> {
        tree.iter().map(|(path, bytes)| (path.clone(), bytes.len())).collect()
    };
    Err(format!("found {:?}, expected {:?}", names(&found), names(&expected)))
}

fn gather(
    root: &Path,
    below: &Path,
    found: &mut BTreeMap<PathBuf, Vec<u8>>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            gather(root, &path, found)?;
        } else {
            found.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}
