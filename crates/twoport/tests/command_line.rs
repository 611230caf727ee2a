//! The program as a script meets it: exit codes, what is said where, accounts, configurations.
//!
//! Transfers are tested elsewhere.

#![expect(
    clippy::unwrap_used,
    reason = "what every test does is in functions, which the lint counts"
)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn twoport(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_twoport"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments ends without reading.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Exit code, standard output and standard error.
fn run(directory: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let output = twoport(directory, arguments, input);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn accounts_are_added_changed_listed_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let account = |arguments: &[&str], input: &str| {
        let line = [&["account"], arguments, &["--file", "a.toml"]].concat();
        run(dir.path(), &line, input)
    };
    assert_eq!(account(&["add", "ann"], "secret\n"), (0, String::new(), String::new()));
    let add = ["add", "bob", "--root", "bob", "--permissions", "list,write", "--generate"];
    let (code, made, said) = account(&add, "");
    assert_eq!((code, made.trim().len(), said.as_str()), (0, 16, ""));
    let listed = "ann\t.\tall\tenabled\nbob\tbob\tlist,write\tenabled\n";
    assert_eq!(account(&["list"], "").1, listed);
    let first = account(&["list", "--json"], "").1.lines().next().unwrap().to_owned();
    assert_eq!(
        first,
        r#"{"data-tls":"optional","enabled":true,"name":"ann","permissions":["all"],"root":".","tls":"optional"}"#
    );
    assert_eq!(account(&["add", "tim", "--tls", "required", "--data-tls=required"], "x\n").0, 0);
    assert!(account(&["list"], "").1.ends_with("all\tenabled\ttls required\tdata-tls required\n"));
    assert_eq!(account(&["remove", "tim"], "").0, 0);

    let before = fs::read_to_string(dir.path().join("a.toml")).unwrap();
    assert_eq!(account(&["passwd", "ann"], "other").0, 0);
    let after = fs::read_to_string(dir.path().join("a.toml")).unwrap();
    assert_ne!(before, after);
    assert!(!after.contains("other") && !before.contains("secret"));

    assert_eq!(account(&["remove", "ann"], "").0, 0);
    let (code, out, said) = account(&["remove", "ann"], "");
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        said,
        "twoport: no account \"ann\" in the file; `twoport account list` shows them\n"
    );
    let (code, _, said) = account(&["add", "bob"], "x\n");
    assert_eq!(code, 2);
    assert!(said.contains("account \"bob\" exists; `twoport account passwd`"), "{said}");
    for (line, input, part) in [
        (&["add", "a:b"][..], "x\n", "cannot be a name"),
        (&["add", "cy"], "\n", "the password is empty"),
        (&["add", "cy", "--permissions", "raed"], "x\n", "did you mean \"read\"?"),
        (&["add", "cy", "--root", "../x"], "x\n", "leads up"),
        (&["passwd", "cy"], "x\n", "no account \"cy\""),
    ] {
        let (code, _, said) = account(line, input);
        assert!(code == 2 && said.contains(part), "{code} {said}");
    }
}

#[test]
fn check_tells_good_from_bad_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str, more: &[&str]| {
        fs::write(dir.path().join("t.toml"), text).unwrap();
        run(dir.path(), &[&["check", "t.toml"], more].concat(), "")
    };
    let (code, out, said) = check("[server]\nroot = \".\"\n", &[]);
    assert_eq!((code, out.as_str(), said.as_str()), (0, "t.toml: no mistakes\n", ""));
    let (code, out, said) = check("[server]\nrot = \".\"\n[limits]\nmax-sessions = 0\n", &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        said,
        "t.toml:2:1: rot: unknown key in [server]; did you mean root?\n\
         t.toml:4:16: max-sessions: \"0\" is not a count of at least 1; write a number from 1 to 10000000\n\
         twoport: t.toml: 2 mistakes\n"
    );
    let (code, out, _) = check("[server]\nroot = \"/nonexistent\"\n", &["--json"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("{\"column\":null,\"file\":\"t.toml\",\"key\":\"root\""), "{out}");
    assert!(out.contains("\"severity\":\"warning\""), "{out}");
    let (code, _, said) = run(dir.path(), &["check", "gone.toml"], "");
    assert_eq!(code, 2);
    assert!(said.starts_with("gone.toml: cannot be read: No such file"), "{said}");
}

#[test]
fn check_reads_the_account_file_too() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), "[[account]]\nname = \"ann\"\n").unwrap();
    fs::write(dir.path().join("t.toml"), "[accounts]\naccount-file = \"a.toml\"\n").unwrap();
    let (code, _, said) = run(dir.path(), &["check", "t.toml"], "");
    assert_eq!(code, 2);
    assert!(said.contains("a.toml:1:1: account: it has no password-hash; make"), "{said}");
}

#[test]
fn the_example_configuration_is_accepted() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    assert_eq!(run(&docs, &["check", "twoport.toml"], "").0, 0);
}

#[test]
fn mistakes_on_the_command_line_are_said_with_what_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    for (line, part) in [
        (&["serv"][..], "'serve'"),
        (&["serve", "--idel-timeout", "5", "."], "'--idle-timeout'"),
        (&["serve", "--passive-ports", "9-8", "."], "is not a range of ports; write two ports"),
        (&["serve", "--user", "ann", "."], "--user: there is no colon; write NAME:PASSWORD"),
        (&["get"], "there is no URL; write ftp://host/path"),
        (&["put", "a"], "the last argument is no URL"),
        (&["serve"], "root: no directory to serve; name one"),
        (&["serve", "gone"], "root: gone cannot be used: No such file"),
        (&["serve", "--config", "gone.toml", "."], "gone.toml: cannot be read"),
    ] {
        let (code, out, said) = run(dir.path(), line, "");
        assert_eq!((code, out.as_str()), (2, ""), "{line:?}");
        assert!(said.contains(part) && said.contains("twoport: "), "{line:?}: {said}");
    }
}

#[test]
fn help_version_completions_and_pages_are_answers() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(dir.path(), &["--version"], "").1, "twoport 0.1.0\n");
    assert!(run(dir.path(), &["serve", "--help"], "").1.contains("--session-timeout"));
    assert!(!run(dir.path(), &["serve", "-h"], "").1.contains("--session-timeout"));
    for (shell, part) in
        [("bash", "complete -F"), ("zsh", "#compdef twoport"), ("fish", "complete -c")]
    {
        let (code, out, _) = run(dir.path(), &["completions", shell], "");
        assert!(code == 0 && out.contains(part) && out.contains("idle-timeout"), "{shell}");
    }
    assert_eq!(run(dir.path(), &["man", "."], "").0, 0);
    assert!(dir.path().join("twoport-serve.1").exists());
}
