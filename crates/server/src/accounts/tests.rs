//! Logging in, from each source of accounts, and the account file's way through changes.

use std::fs;

use super::file::{AccountFile, FileError};
use super::*;
use crate::config::Draft;
use crate::config::settings::Setting;

struct House {
    dir: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("srv")).unwrap();
        fs::create_dir(dir.path().join("srv/ann")).unwrap();
        Self { dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("accounts.toml")
    }

    fn draft(&self, settings: &[(&str, &str)]) -> Draft {
        let mut draft = Draft::new();
        draft.set(Setting::find("root").unwrap(), self.dir.path().join("srv").to_str().unwrap());
        for (key, text) in settings {
            draft.set(Setting::find(key).unwrap(), text);
        }
        draft
    }

    fn load(&self, settings: &[(&str, &str)]) -> Result<(Accounts, Vec<Problem>), Problems> {
        Accounts::load(&self.draft(settings).finish().unwrap().0)
    }
}

fn account(name: &str, password: &str) -> AccountEntry {
    let hash = PasswordHash::of(&Password::new(password)).unwrap();
    AccountEntry::new(name.to_owned(), hash, Place::CommandLine)
}

#[test]
fn right_passwords_log_in_and_nothing_else() {
    let house = House::new();
    let mut draft = house.draft(&[]);
    draft.set_account(AccountEntry { root: "ann".into(), ..account("ann", "secret") });
    draft.set_account(AccountEntry { enabled: false, ..account("bob", "") });
    let (accounts, _) = Accounts::load(&draft.finish().unwrap().0).unwrap();
    for _first_and_again in 0..2 {
        let ann = accounts.verify(b"ann", b"secret").unwrap();
        assert_eq!(ann.root, house.dir.path().join("srv/ann").canonicalize().unwrap());
        assert!(ann.enabled && !ann.anonymous);
        assert_eq!(accounts.verify(b"ann", b"Secret"), None);
    }
    assert!(!accounts.verify(b"bob", b"").unwrap().enabled);
    for user in [&b"Ann"[..], b"", b"anonymous", b"ftp", b"\xff"] {
        assert_eq!(accounts.verify(user, b"secret"), None);
    }
    let shown = format!("{accounts:?}");
    assert!(shown.contains("ann") && !shown.contains("argon2") && !shown.contains("secret"));
}

#[test]
fn visitors_log_in_with_any_password_where_they_may() {
    let house = House::new();
    let (accounts, _) = house.load(&[("anonymous", "read")]).unwrap();
    for user in [&b"anonymous"[..], b"ftp"] {
        let visitor = accounts.verify(user, b"").unwrap();
        assert!(visitor.anonymous && visitor.permissions == Permissions::READ_ONLY);
        assert!(accounts.is_visitor(user));
    }
    assert_eq!(accounts.verify(b"Anonymous", b""), None);
    let (accounts, _) = house.load(&[("anonymous", "write")]).unwrap();
    let visitor = accounts.verify(b"ftp", b"me@").unwrap();
    assert!(visitor.permissions.has(Permission::Write));
    assert!(!visitor.permissions.has(Permission::Overwrite));
    assert!(!visitor.permissions.has(Permission::Delete));
}

#[test]
fn the_file_keeps_comments_and_order_through_changes() {
    let house = House::new();
    let mut file = AccountFile::open(&house.file()).unwrap();
    for name in ["ann", "bob", "cy"] {
        file.add(&account(name, "secret")).unwrap();
    }
    file.save().unwrap();
    drop(file);
    let text = fs::read_to_string(house.file()).unwrap();
    fs::write(house.file(), text.replace("name = \"cy\"", "name = \"cy\" # the cook")).unwrap();
    fs::set_permissions(house.file(), fs::Permissions::from_mode(0o664)).unwrap();

    let mut file = AccountFile::open(&house.file()).unwrap();
    assert!(matches!(file.add(&account("ann", "x")), Err(FileError::Exists(_))));
    file.remove("bob").unwrap();
    assert!(matches!(file.remove("bob"), Err(FileError::Unknown(_))));
    file.set_password("cy", &PasswordHash::of(&Password::new("other")).unwrap()).unwrap();
    file.save().unwrap();
    drop(file);

    let mode = fs::metadata(house.file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640, "what the group could read it still can, the others not");
    let text = fs::read_to_string(house.file()).unwrap();
    assert!(text.starts_with("# Accounts of twoport") && text.contains("# the cook"), "{text}");
    let file = house.file();
    let (accounts, _) = house.load(&[("account-file", file.to_str().unwrap())]).unwrap();
    let names: Vec<_> = accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["ann", "cy"]);
    assert!(accounts.verify(b"ann", b"secret").is_some());
    assert!(accounts.verify(b"cy", b"other").is_some());
    assert_eq!(accounts.verify(b"cy", b"secret"), None);
}

#[test]
fn a_new_file_is_its_owners_alone_and_an_open_one_is_warned_about() {
    let house = House::new();
    let mut file = AccountFile::open(&house.file()).unwrap();
    file.add(&account("ann", "secret")).unwrap();
    file.save().unwrap();
    let mode = fs::metadata(house.file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(readable_by_all(&house.file()), None);
    fs::set_permissions(house.file(), fs::Permissions::from_mode(0o644)).unwrap();
    let path = house.file();
    let (_, warnings) = house.load(&[("account-file", path.to_str().unwrap())]).unwrap();
    assert!(warnings[0].to_string().contains("(mode 644); chmod 600"), "{warnings:?}");
}

#[test]
fn the_command_line_stands_in_for_the_file() {
    let house = House::new();
    let mut file = AccountFile::open(&house.file()).unwrap();
    file.add(&account("ann", "of the file")).unwrap();
    file.save().unwrap();
    let path = house.file();
    let mut draft = house.draft(&[("account-file", path.to_str().unwrap())]);
    draft.set_account(account("ann", "of the flag"));
    let (accounts, _) = Accounts::load(&draft.finish().unwrap().0).unwrap();
    assert!(accounts.verify(b"ann", b"of the flag").is_some());
    assert_eq!(accounts.verify(b"ann", b"of the file"), None);
}

#[test]
fn neither_answer_to_a_name_in_clear_tells_whether_there_is_such_an_account() {
    let house = House::new();
    let needs = |name: &str, tls| AccountEntry { tls, ..account(name, "secret") };
    let load = |of_ann, of_bob| {
        let mut draft = house.draft(&[("anonymous", "read")]);
        draft.set_account(needs("ann", of_ann));
        draft.set_account(needs("bob", of_bob));
        Accounts::load(&draft.finish().unwrap().0).unwrap().0
    };
    let unknown: Vec<_> = (0..200).map(|n| format!("nobody{n}").into_bytes()).collect();
    let refused = |accounts: &Accounts| unknown.iter().filter(|n| accounts.needs_tls(n)).count();
    assert_eq!(refused(&load(false, false)), 0);
    assert_eq!(refused(&load(true, true)), 200);
    let mixed = load(true, false);
    assert!(mixed.needs_tls(b"ann") && !mixed.needs_tls(b"bob") && !mixed.needs_tls(b"ftp"));
    assert!((20..180).contains(&refused(&mixed)), "some are, some are not");
    let answers: Vec<_> = unknown.iter().map(|name| mixed.needs_tls(name)).collect();
    assert_eq!(answers, unknown.iter().map(|name| mixed.needs_tls(name)).collect::<Vec<_>>());
}

#[test]
fn the_key_of_answers_follows_from_an_account_and_so_outlives_a_restart() {
    let house = House::new();
    let mut draft = house.draft(&[]);
    draft.set_account(AccountEntry { tls: true, ..account("ann", "secret") });
    draft.set_account(account("bob", "secret"));
    let config = draft.finish().unwrap().0;
    let [one, other] = [(); 2].map(|()| Accounts::load(&config).unwrap().0);
    for name in (0..200).map(|n| format!("nobody{n}").into_bytes()) {
        assert_eq!(one.needs_tls(&name), other.needs_tls(&name));
    }
}

#[test]
fn roots_that_are_not_there_are_named() {
    let house = House::new();
    let mut draft = house.draft(&[]);
    draft.set_account(AccountEntry { root: "gone".into(), ..account("ann", "secret") });
    let said = Accounts::load(&draft.finish().unwrap().0).unwrap_err().to_string();
    assert!(said.contains("root of account \"ann\"") && said.contains("srv/gone"), "{said}");
    let said = Accounts::load(&Config::default()).unwrap_err().to_string();
    assert!(said.starts_with("root: no directory to serve; name one"), "{said}");
}
