//! The names of owners and groups for listings, read once from `/etc/passwd` and `/etc/group`.
//!
//! It asks no name service (NSS, LDAP, sssd): a listing must not wait for a directory server, and
//! static builds have none to ask. An owner who is not in the files is shown by number.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use twoport_proto::time::decimal;

/// Names by number. Immutable: an account added later is known after a reload.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
}

impl Owners {
    /// The host's owners. A file that cannot be read gives no names.
    #[must_use]
    pub fn of_host() -> Self {
        Self::read(Path::new("/etc/passwd"), Path::new("/etc/group"))
    }

    /// The owners in two files of the form of passwd(5) and group(5).
    #[must_use]
    pub fn read(passwd: &Path, group: &Path) -> Self {
        let names = |path| names(&std::fs::read(path).unwrap_or_default());
        Self { users: names(passwd), groups: names(group) }
    }

    /// The name of a user, or the number.
    #[must_use]
    pub fn user(&self, uid: u32) -> Cow<'_, [u8]> {
        name(&self.users, uid)
    }

    /// The name of a group, or the number.
    #[must_use]
    pub fn group(&self, gid: u32) -> Cow<'_, [u8]> {
        name(&self.groups, gid)
    }
}

fn name(names: &HashMap<u32, Vec<u8>>, number: u32) -> Cow<'_, [u8]> {
    match names.get(&number) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(number.to_string().into_bytes()),
    }
}

/// The first name for each number, as the C library finds it. A name that would break a listing's
/// columns or lines is left out.
fn names(file: &[u8]) -> HashMap<u32, Vec<u8>> {
    let mut names = HashMap::new();
    for line in file.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b':');
        let (Some(name), Some(_password), Some(number)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let printable = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        if let (true, Some(number)) = (printable, decimal(number).and_then(|n| n.try_into().ok())) {
            names.entry(number).or_insert_with(|| name.to_vec());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_numbers_stand_in() {
        let users = names(
            b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n# no\nann:x:1000:1000::/:\n\
              bad name:x:7:7::/:\nhuge:x:99999999999:1::/:\n:x:8:8::/:\nshort:x\n",
        );
        let owners = Owners { users, groups: HashMap::new() };
        assert_eq!(&*owners.user(0), b"root");
        assert_eq!(&*owners.user(1000), b"ann");
        assert_eq!(&*owners.user(7), b"7");
        assert_eq!(&*owners.user(8), b"8");
        assert_eq!(&*owners.group(1000), b"1000");
    }
}
