use super::*;
use alloc::vec;

fn parse(line: &[u8]) -> Result<Command, Reason> {
    Command::parse(line).map(|(_, command)| command).map_err(|error| error.reason)
}

fn path(text: &str) -> FtpPath {
    FtpPath::from(text.as_bytes())
}

#[test]
fn every_form_comes_back_as_written() {
    for line in [
        "ABOR",
        "ACCT x",
        "APPE a b",
        "AVBL",
        "AVBL d",
        "CDUP",
        "CLNT x",
        "COMB \"t t\" \"a\"",
        "CWD",
        "CWD  lead",
        "DELE trail ",
        "EPRT |2|::1|2048|",
        "EPSV",
        "EPSV 2",
        "EPSV ALL",
        "FEAT",
        "HASH a",
        "HELP",
        "HELP PASV",
        "HOST h",
        "LANG",
        "LIST",
        "LIST -la x",
        "NLST *.c",
        "MDTM a",
        "MDTM 20260102030405 a",
        "MFCT 20260102030405 a",
        "MFF modify=1;unix.mode=0644; a",
        "MFMT 20260102030405 a b",
        "MKD d",
        "MLSD",
        "MLST a",
        "MODE S",
        "NOOP",
        "OPTS UTF8 ON",
        "OPTS MLST type;size;",
        "OPTS HASH SHA-256",
        "PASS secret word",
        "PASV",
        "PORT 127,0,0,1,8,1",
        "PWD",
        "QUIT",
        "RANG 0 9",
        "RANG 1 0",
        "REIN",
        "REST 5",
        "RETR a",
        "RMD a",
        "RNFR a",
        "RNTO b",
        "SITE CHMOD 644 a",
        "SITE UTIME 20260102030405 a",
        "SITE HELP",
        "SIZE a",
        "STAT",
        "STAT a",
        "STOR a",
        "STOU",
        "STOU a",
        "STRU F",
        "SYST",
        "TYPE A",
        "TYPE I",
        "USER ann",
        "XCRC \"a\" 0 9",
        "XMD5 \"a\" 3",
        "XSHA1 \"a\"",
    ] {
        let mut out = vec![];
        parse(line.as_bytes()).unwrap().encode(&mut out).unwrap();
        assert_eq!(out, [line.as_bytes(), b"\r\n"].concat(), "{line}");
    }
}

#[test]
fn words_are_read_in_any_case_and_aliases_mean_their_original() {
    assert_eq!(parse(b"p@sw"), Ok(Command::Pasv));
    assert_eq!(parse(b"xcup"), Ok(Command::Cdup));
    assert_eq!(parse(b"  noop"), Ok(Command::Noop));
    assert_eq!(parse(b"Type l8"), Ok(Command::Type(Representation::Image)));
    assert_eq!(parse(b"opts utf8 on"), Ok(Command::Opts(Opts::Utf8(true))));
    assert_eq!(parse(b"noop "), Ok(Command::Noop));
}

#[test]
fn each_mistake_has_its_reason() {
    for (line, reason) in [
        ("", Reason::UnknownCommand),
        ("sitefoo bar", Reason::UnknownCommand),
        ("GET / HTTP/1.1", Reason::HttpOnControl),
        ("options *", Reason::HttpOnControl),
        ("RETR", Reason::ArgumentMissing),
        ("RETR  ", Reason::ArgumentMissing),
        ("NOOP x", Reason::ArgumentUnexpected),
        ("PORT 1,2,3", Reason::PortMalformed),
        ("EPRT ||", Reason::EprtMalformed),
        ("EPRT |3|1.2.3.4|2000|", Reason::NetworkProtocol),
        ("EPSV x", Reason::NetworkProtocolUnknown),
        ("REST -1", Reason::BadArgument),
        ("REST 99999999999999999999", Reason::BadArgument),
        ("TYPE E", Reason::TypeUnsupported),
        ("MODE B", Reason::ModeUnsupported),
        ("MODE ?", Reason::ModeUnknown),
        ("STRU R", Reason::StructureUnsupported),
        ("STRU ?", Reason::StructureUnknown),
        ("OPTS x", Reason::OptionUnknown),
        ("OPTS MLST bad", Reason::FactsInvalid),
        ("OPTS MLST type ;", Reason::FactsCount),
        ("OPTS HASH ROT13", Reason::HashUnknown),
        ("SITE x", Reason::SiteUnknown),
        ("SITE CHMOD", Reason::ArgumentMissing),
        ("SITE CHMOD 777", Reason::ChmodPathMissing),
        ("SITE CHMOD 778 a", Reason::ChmodMalformed),
        ("SITE CHMOD -177 a", Reason::ChmodMalformed),
        ("SITE CHMOD 4755 a", Reason::ChmodMalformed),
        ("MFMT a", Reason::ArgumentMissing),
        ("MFF ;; a", Reason::BadArgument),
        ("MFMT 2026 a", Reason::TimeInvalid),
        ("COMB a", Reason::ArgumentMissing),
    ] {
        assert_eq!(parse(line.as_bytes()), Err(reason), "{line}");
    }
}

#[test]
fn options_of_ls_are_set_apart_and_the_literal_kept() {
    let listing = |line: &[u8]| match parse(line) {
        Ok(Command::List(listing)) => listing,
        other => panic!("{other:?}"),
    };
    assert_eq!(listing(b"LIST"), Listing::default());
    let found = listing(b"LIST -a -L my dir");
    assert_eq!((found.options.as_slice(), found.path), (&b"aL"[..], Some(path("my dir"))));
    assert_eq!(found.literal, Some(path("-a -L my dir")));
    assert_eq!(listing(b"LIST -la").path, None);
    assert_eq!(listing(b"LIST -- -a").path, Some(path("-a")));
}

#[test]
fn dates_that_set_and_paths_that_look_like_dates() {
    let set = |line: &[u8]| match parse(line) {
        Ok(Command::Mdtm { set, path }) => (set.is_some(), path),
        other => panic!("{other:?}"),
    };
    assert_eq!(set(b"MDTM 20260102030405 a"), (true, path("a")));
    assert_eq!(set(b"MDTM 20260102030405"), (false, path("20260102030405")));
    assert_eq!(set(b"MDTM 20261302030405 a"), (false, path("20261302030405 a")));
    let four = parse(b"SITE UTIME my file 20260102030405 20260102030406 20260102030407 UTC");
    let date = Timestamp::parse(b"20260102030406").unwrap();
    assert_eq!(four, Ok(Command::Site(Site::Utime(date, path("my file")))));
}

#[test]
fn no_argument_smuggles_a_second_command() {
    let mut out = vec![];
    for bad in ["a\r\nDELE b", "a\nb", "a\0"] {
        assert_eq!(Command::Retr(path(bad)).encode(&mut out), Err(Reason::BadName));
    }
    assert!(out.is_empty());
}

#[test]
fn a_mode_of_any_length_is_a_mode_or_none() {
    assert_eq!(parse(b"SITE CHMOD 0640 a"), Ok(Command::Site(Site::Chmod(0o640, path("a")))));
    for bad in ["64", "1777", "00640", "648", &"7".repeat(200), &"\u{e5}".repeat(90)] {
        let line = alloc::format!("SITE CHMOD {bad} a");
        assert_eq!(parse(line.as_bytes()), Err(Reason::ChmodMalformed), "{bad}");
    }
    assert_eq!((permission_bits(b""), permission_bits(&[b'7'; 90])), (None, None));
}

#[test]
fn the_paths_of_comb_stay_apart() {
    let comb = |target, parts: &[&str]| Command::Comb {
        target: path(target),
        parts: parts.iter().map(|part| path(part)).collect(),
    };
    assert_eq!(parse(b"COMB t \"a a\" b\"b \"c\""), Ok(comb("t", &["a a", "b\"b", "c"])));
    let mut out = vec![];
    assert_eq!(comb("t", &["b\"b"]).encode(&mut out), Ok(()));
    assert_eq!(out, b"COMB \"t\" b\"b\r\n");
    for bad in ["\"a", "a\" b", "\ta\""] {
        assert_eq!(comb("t", &[bad]).encode(&mut out), Err(Reason::BadName));
    }
}

#[test]
fn passwords_are_not_shown() {
    use alloc::format;
    let command = parse(b"PASS secret").unwrap();
    assert_eq!(format!("{command:?}"), "Pass(•••)");
    assert_eq!(format!("{}", Redacted(b"pass secret")), "pass •••");
    assert_eq!(format!("{}", Redacted(b" PASSsecret")), "PASS •••");
    assert_eq!(format!("{}", Redacted(b"USER ann\x07")), "USER ann\\x07");
}
