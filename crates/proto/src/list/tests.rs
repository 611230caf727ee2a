use super::*;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::{format, vec::Vec};

use super::facts::FactSet;

/// 2026-12-01 00:00:00.
const NOW: Timestamp = Timestamp::from_seconds(1_796_083_200);
/// 2026-11-22 13:40:48.
const RECENT: Timestamp = Timestamp::from_seconds(1_795_354_848);

fn file(name: &str) -> Entry<'_> {
    Entry {
        size: Some(1234),
        modified: Some(RECENT),
        mode: Some(0o644),
        links: Some(1),
        owner: Some(Cow::Borrowed(b"owner")),
        group: Some(Cow::Borrowed(b"group")),
        perm: Some(Perm::ALL),
        ..Entry::new(name.as_bytes(), Kind::File)
    }
}

fn directory(name: &str) -> Entry<'_> {
    Entry { kind: Kind::Directory, mode: Some(0o755), size: Some(4096), ..file(name) }
}

fn link<'a>(name: &'a str, target: Option<&'a str>) -> Entry<'a> {
    let target = target.map(|target| Cow::Borrowed(target.as_bytes()));
    Entry { kind: Kind::Link { target }, mode: Some(0o777), ..file(name) }
}

fn long(entry: &Entry<'_>) -> String {
    let mut out = vec![];
    assert!(unix::write(&mut out, entry, NOW));
    String::from_utf8(out).unwrap()
}

fn fact_line(entry: &Entry<'_>, selected: FactSet) -> String {
    let mut out = vec![];
    assert!(facts::write(&mut out, entry, selected));
    String::from_utf8(out).unwrap()
}

fn mlst(entry: &Entry<'_>, selected: FactSet) -> String {
    let mut out = vec![];
    assert!(facts::write_mlst(&mut out, entry, selected));
    String::from_utf8(out).unwrap()
}

#[test]
fn the_classic_line() {
    let name = "a name";
    assert_eq!(
        long(&file(name)),
        "-rw-r--r--   1 owner    group        1234 Nov 22 13:40 a name\r\n"
    );
    assert_eq!(
        long(&Entry { modified: Some(Timestamp::from_seconds(951_782_400)), ..directory(name) }),
        "drwxr-xr-x   1 owner    group        4096 Feb 29  2000 a name\r\n"
    );
    assert_eq!(
        long(&link(name, Some("/else where"))),
        "lrwxrwxrwx   1 owner    group        1234 Nov 22 13:40 a name -> /else where\r\n"
    );
    assert_eq!(
        long(&Entry::new(b"bare", Kind::Other(Special::Socket))),
        "srw-r--r--   1 owner    group           0 Jan  1  1970 bare\r\n"
    );
    assert_eq!(
        long(&Entry {
            owner: Some(Cow::Borrowed(b"Domain Users")),
            uid: Some(65_534),
            group: None,
            gid: Some(4_294_967_295),
            size: Some(u64::MAX),
            links: Some(1000),
            ..file("x")
        }),
        "-rw-r--r-- 1000 65534    4294967295 18446744073709551615 Nov 22 13:40 x\r\n"
    );
}

#[test]
fn a_date_shows_the_time_for_half_a_year_and_one_day_ahead() {
    const DAY: i64 = 86_400;
    for (ago, expected) in [
        (0, "Dec  1 00:00"),
        (180 * DAY, "Jun  4 00:00"),
        (180 * DAY + 1, "Jun  3  2026"),
        (-DAY, "Dec  2 00:00"),
        (-DAY - 1, "Dec  2  2026"),
    ] {
        let modified = Some(Timestamp::from_seconds(NOW.seconds - ago));
        let line = long(&Entry { modified, ..file("x") });
        assert!(line.contains(&format!("1234 {expected} x\r\n")), "{ago}: {line}");
    }
}

#[test]
fn every_mode_is_written_and_read() {
    for mode in 0..=0o7777 {
        let entry = Entry { mode: Some(mode), ..file("x") };
        assert_eq!(unix::parse(long(&entry).as_bytes(), NOW).unwrap().mode, Some(mode));
    }
    assert!(long(&Entry { mode: Some(0o4755), ..file("x") }).starts_with("-rwsr-xr-x "));
    assert!(long(&Entry { mode: Some(0o6644), ..file("x") }).starts_with("-rwSr-Sr-- "));
    assert!(long(&Entry { mode: Some(0o1777), ..directory("x") }).starts_with("drwxrwxrwt "));
}

#[test]
fn facts_come_in_one_order() {
    let all = Entry {
        unique: Some((0xfd01, 0x122_0c04)),
        uid: Some(1000),
        gid: Some(100),
        ..file("a b")
    };
    assert_eq!(
        fact_line(&all, FactSet::ALL),
        "type=file;perm=adfrw;size=1234;modify=20261122134048;unique=fd01g1220c04;unix.mode=0644;\
         unix.uid=1000;unix.gid=100;unix.owner=owner;unix.group=group; a b\r\n"
    );
    assert_eq!(
        fact_line(&directory("d"), FactSet::DEFAULT),
        "type=dir;perm=dfcelmp;modify=20261122134048; d\r\n"
    );
    assert_eq!(fact_line(&link("l", Some("t")), FactSet::TYPE), "type=OS.unix=symlink; l\r\n");
    assert_eq!(fact_line(&file(" x"), FactSet::NONE), "  x\r\n");
    let nothing_known = Entry::new(b"x", Kind::File);
    assert_eq!(fact_line(&nothing_known, FactSet::ALL), "type=file; x\r\n");
}

#[test]
fn values_that_would_break_a_line_are_left_out() {
    let odd = Entry {
        owner: Some(Cow::Borrowed(b"Domain Users")),
        group: Some(Cow::Borrowed(b"a;b")),
        modified: Some(Timestamp::from_seconds(i64::MAX)),
        ..file("x")
    };
    let selected = FactSet::MODIFY | FactSet::OWNER | FactSet::GROUP | FactSet::SIZE;
    assert_eq!(fact_line(&odd, selected), "size=1234; x\r\n");
    let odd = link("x", Some("a\r\nb"));
    assert!(long(&odd).ends_with(" x\r\n"));
}

/// What pyftpdlib's `test_mlst` expects, and RFC 3659 §7.2: two blanks where there is no fact.
#[test]
fn the_line_of_mlst_begins_with_a_blank() {
    let root = directory("/");
    assert_eq!(mlst(&root, FactSet::TYPE), " type=dir; /");
    assert_eq!(mlst(&root, FactSet::NONE), "  /");
    assert_eq!(facts::parse(b" type=dir; /").unwrap().name, &b"/"[..]);
}

#[test]
fn names_that_fit_on_no_line_are_left_out() {
    for name in ["a\rb", "a\nb", "a\0b", ""] {
        let mut out = vec![];
        assert!(!unix::write(&mut out, &file(name), NOW));
        assert!(!facts::write(&mut out, &file(name), FactSet::DEFAULT));
        assert!(!facts::write_mlst(&mut out, &file(name), FactSet::DEFAULT));
        assert!(!names::write(&mut out, name.as_bytes()));
        assert_eq!(out, b"");
    }
    let mut out = vec![];
    assert!(names::write(&mut out, b" a -> b "));
    assert_eq!(out, b" a -> b \r\n");
}

const ODD_NAMES: [&str; 10] = [
    "a",
    " lead",
    "  two",
    "trail ",
    "a b  c",
    "-> a",
    "1 Nov 22 13:40 x",
    "a=b; c",
    "\u{e9}\u{20ac}",
    "a/",
];

#[test]
fn long_lines_come_back() {
    for name in ODD_NAMES {
        for entry in [
            file(name),
            link(name, Some("to/a file ")),
            link(name, None),
            Entry { kind: Kind::Other(Special::Pipe), ..file(name) },
            Entry { uid: Some(7), gid: Some(8), owner: None, group: None, ..file(name) },
        ] {
            let line = long(&entry);
            let minute = Timestamp::from_seconds(RECENT.seconds - 48);
            let expected = Entry {
                modified: Some(minute),
                precision: Precision::Minute,
                perm: None,
                ..entry.clone()
            };
            assert_eq!(parse_line(line.as_bytes(), NOW), Some(expected), "{line}");
        }
    }
    let mut all_bytes: Vec<u8> = (1..=255).filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    all_bytes.extend_from_slice(b" .");
    let mut out = vec![];
    assert!(unix::write(&mut out, &Entry::new(&all_bytes, Kind::File), NOW));
    assert_eq!(unix::parse(&out, NOW).unwrap().name, all_bytes);
}

#[test]
fn fact_lines_come_back() {
    for name in ODD_NAMES {
        for kind in [
            Kind::File,
            Kind::Directory,
            Kind::Current,
            Kind::Parent,
            Kind::Link { target: None },
            Kind::Other(Special::Pipe),
            Kind::Other(Special::Socket),
            Kind::Other(Special::Block),
            Kind::Other(Special::Character),
            Kind::Other(Special::Unknown),
        ] {
            let entry = Entry {
                perm: Some(Perm::ALL.on(&kind)),
                size: (!kind.is_directory()).then_some(5),
                links: None,
                unique: Some((1, u64::MAX)),
                uid: Some(0),
                kind,
                ..file(name)
            };
            let line = fact_line(&entry, FactSet::ALL);
            assert_eq!(parse_line(line.as_bytes(), NOW), Some(entry), "{line}");
        }
    }
}

#[test]
fn names_that_lead_elsewhere_are_told_apart() {
    for name in ["", ".", "..", "/", "a/b", "/etc/passwd", "../x", "a\0", "a\r", "a\nb"] {
        assert!(!Entry::new(name.as_bytes(), Kind::File).is_safe_name(), "{name:?}");
    }
    for name in ["a", "...", ".a", "..a", " ", "~", "-r", "a\\b"] {
        assert!(Entry::new(name.as_bytes(), Kind::File).is_safe_name(), "{name:?}");
    }
}

/// `kind|size|date|mode|links|owner|group|name|target` of what was read; `-` for what is not known.
fn summary(entry: &Entry<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (kind, target) = match &entry.kind {
        Kind::Link { target } => ("link", target.as_deref().map(text)),
        kind => (
            match kind {
                Kind::File => "file",
                Kind::Directory => "dir",
                Kind::Current => "cdir",
                Kind::Parent => "pdir",
                Kind::Other(Special::Block) => "block",
                Kind::Other(Special::Character) => "char",
                _ => "other",
            },
            None,
        ),
    };
    let or = |value: Option<String>| value.unwrap_or_else(|| "-".to_string());
    let digits = match entry.precision {
        Precision::Day => 8,
        Precision::Minute => 12,
        Precision::Second => 18,
    };
    let date = entry.modified.map(|date| date.to_string().chars().take(digits).collect());
    let owner = entry.owner.as_deref().map(text).or_else(|| entry.uid.map(|id| format!("#{id}")));
    let group = entry.group.as_deref().map(text).or_else(|| entry.gid.map(|id| format!("#{id}")));
    let mode = entry.mode.map(|mode| format!("{mode:o}"));
    let (size, links) = (entry.size.map(|n| n.to_string()), entry.links.map(|n| n.to_string()));
    let fields = [or(size), or(date), or(mode), or(links), or(owner), or(group)].join("|");
    format!("{kind}|{fields}|{}|{}", text(&entry.name), or(target))
}

#[track_caller]
fn reads(line: &str, expected: &str) {
    let entry = parse_line(line.as_bytes(), NOW).unwrap_or_else(|| panic!("{line}"));
    assert_eq!(summary(&entry), expected, "{line}");
}

#[test]
fn long_lines_of_real_servers() {
    for (line, expected) in [
        // vsftpd, proftpd, Pure-FTPd
        (
            "drwxr-xr-x    2 0        0            4096 Nov 22 13:40 pub",
            "dir|4096|202611221340|755|2|#0|#0|pub|-",
        ),
        (
            "-rw-rw-r--    1 0        1001      1795366 May 04  2016 Mac-GUI-1.68.tar.gz\r\n",
            "file|1795366|20160504|664|1|#0|#1001|Mac-GUI-1.68.tar.gz|-",
        ),
        (
            "lrwxrwxrwx    1 0        1001           15 May 01  2017 R.pkg -> old/R-3.3.3.pkg",
            "link|15|20170501|777|1|#0|#1001|R.pkg|old/R-3.3.3.pkg",
        ),
        (
            "drwxr-S---    3 105207   501            18 Jul 04  2017 .pki",
            "dir|18|20170704|2740|3|#105207|#501|.pki|-",
        ),
        // GNU ls, with a security label or an access list, and long or full dates
        (
            "-rwsr-xr-x. 1 root root 53000 2005-06-07 21:22 pass wd",
            "file|53000|200506072122|4755|1|root|root|pass wd|-",
        ),
        (
            "-rw-r--r--+ 1 root root 7 2005-06-07 21:22:33.123456789 +0200 x",
            "file|7|20050607192233|644|1|root|root|x|-",
        ),
        (
            "drwxrwxrwt 9 root root 4096 11-22 13:40 tmp/",
            "dir|4096|202611221340|1777|9|root|root|tmp|-",
        ),
        // ls -la
        ("drwxr-xr-x 2 a b 4096 Nov 22 13:40 .", "cdir|4096|202611221340|755|2|a|b|.|-"),
        ("drwxr-xr-x 2 a b 4096 Nov 22 13:40 ..", "pdir|4096|202611221340|755|2|a|b|..|-"),
        // BSD and macOS: ls -lT, extended attributes
        (
            "-rw-r--r--@ 1 ann  staff  12 Nov 22 13:40:48 2024 x",
            "file|12|20241122134048|644|1|ann|staff|x|-",
        ),
        // no group
        ("-rw-r--r--   2 root    512 Apr  8  1994 x", "file|512|19940408|644|2|root|-|x|-"),
        // a group, or an account of a domain, with blanks
        (
            "drwxrwxrwx      1 testftp    Local Users           84 Oct 16 18:06 zcc",
            "dir|84|202610161806|777|1|testftp|Local Users|zcc|-",
        ),
        (
            "-rw-r--r--   1 group domain user 531 Jan 29 03:26 x",
            "file|531|202601290326|644|1|group|domain user|x|-",
        ),
        // NetPresenz and other Macs: the numbers of forks, or the word folder
        (
            "drwxrwxr-x               folder        2 May 10  1996 dir",
            "dir|2|19960510|775|-|folder|-|dir|-",
        ),
        (
            "-------r--         326  1391972  1392298 Nov 22  1995 x",
            "file|1392298|19951122|4|326|#1391972|-|x|-",
        ),
        // Solaris and others: devices, doors, mandatory locking
        (
            "brw-r-----   1 root     disk       8,   1 Nov 22 13:40 sda1",
            "block|-|202611221340|640|1|root|disk|sda1|-",
        ),
        (
            "crw-rw-rw- 1 root sys 13,2 Nov 22 13:40 null",
            "char|-|202611221340|666|1|root|sys|null|-",
        ),
        (
            "Drw-r--r-- 1 root root 0 Nov 22 13:40 door",
            "other|0|202611221340|644|1|root|root|door|-",
        ),
        ("-rw-r-lr-- 1 root root 0 Nov 22 13:40 x", "file|0|202611221340|2644|1|root|root|x|-"),
        // VShell, and servers that translate ls
        (
            "-rwxr-xr-x    1 user group        9 Oct 08, 2002 09:47 a b",
            "file|9|200210080947|755|1|user|group|a b|-",
        ),
        (
            "dr-xr-xr-x   2 root     other      2235 26. June 20:10 x",
            "dir|2235|202606262010|555|2|root|other|x|-",
        ),
        (
            "-r-xr-xr-x 2 root other 2235 1999/10/12 17:12 x",
            "file|2235|199910121712|555|2|root|other|x|-",
        ),
        ("-r-xr-xr-x   2 root  root  96 2004.07.15   x", "file|96|20040715|555|2|root|root|  x|-"),
        // sizes that are none
        ("-rw-r--r-- 1 a b 33.5K Oct  5 21:22 x", "file|-|202610052122|644|1|a|b|x|-"),
        ("-rw-r--r-- 1 a b -2147483648 Oct  5 21:22 x", "file|-|202610052122|644|1|a|b|x|-"),
        // names
        ("-rw-r--r-- 1 a b 5 Nov 22 13:40  lead", "file|5|202611221340|644|1|a|b| lead|-"),
        ("-rw-r--r-- 1 a b 5 Nov 22  2024 13:40 x ", "file|5|20241122|644|1|a|b|13:40 x |-"),
        ("-rw-r--r-- 1 a b 5 Nov 22 13:40 2024 x", "file|5|202611221340|644|1|a|b|2024 x|-"),
        ("-rw-r--r-- 1 a b 5 Nov 22 2024  x", "file|5|20241122|644|1|a|b|x|-"),
        ("-rw-r--r-- 1 a b 5 Nov 22 13:40 a -> b", "file|5|202611221340|644|1|a|b|a -> b|-"),
        ("lrwxrwxrwx 1 a b 5 Nov 22 13:40 x", "link|5|202611221340|777|1|a|b|x|-"),
        ("lrwxrwxrwx 1 a b 5 Nov 22 13:40 x -> a -> b", "link|5|202611221340|777|1|a|b|x|a -> b"),
        // a reply to STAT indents
        (" -rw-r--r-- 1 a b 5 Dec  2 00:00 x", "file|5|202612020000|644|1|a|b|x|-"),
        ("-rw-r--r-- 1 a b 5 Dec  2 00:01 x", "file|5|202512020001|644|1|a|b|x|-"),
    ] {
        reads(line, expected);
    }
}

#[test]
fn fact_lines_of_real_servers() {
    for (line, expected) in [
        // the examples of RFC 3659 §7.7
        ("type=cdir;perm=el;unique=keVO1+ZF4; test", "cdir|-|-|-|-|-|-|test|-"),
        ("type=pdir;perm=e;unique=keVO1+d?3; ..", "pdir|-|-|-|-|-|-|..|-"),
        (
            "type=OS.unix=slink:/foobar;perm=;unique==keVO1+4G4; foobar",
            "link|-|-|-|-|-|-|foobar|/foobar",
        ),
        ("type=OS.unix=chr-13/29;perm=; device", "char|-|-|-|-|-|-|device|-"),
        ("type=OS.unix=blk-11/108;perm=; block", "block|-|-|-|-|-|-|block|-"),
        ("Type=file;Perm=r;Unique=keVO1+EG4; two words", "file|-|-|-|-|-|-|two words|-"),
        ("Type=file;Perm=r;Unique=keVO1+IH4;  leading space", "file|-|-|-|-|-|-| leading space|-"),
        // ProFTPD
        (
            "modify=20150928140340;perm=adfrw;size=6;type=OS.unix=symlink;unique=801U5AA227;\
             UNIX.group=1000;UNIX.mode=0777;UNIX.owner=1000; slinkdir\r\n",
            "link|6|20150928140340|777|-|#1000|#1000|slinkdir|-",
        ),
        (
            "type=file;size=9;UNIX.groupname=users;UNIX.group=100;UNIX.ownername=ann;UNIX.owner=7; x",
            "file|9|-|-|-|ann|users|x|-",
        ),
        // Pure-FTPd
        (
            "type=dir;sizd=4096;modify=20140728100902;UNIX.mode=02755;UNIX.uid=647;UNIX.gid=649;\
             unique=fd01g1220c04; access-logs",
            "dir|4096|20140728100902|2755|-|#647|#649|access-logs|-",
        ),
        // FileZilla Server, IIS and others
        ("type=file;modify=20240102030405.123;size=5; a", "file|5|20240102030405.123|-|-|-|-|a|-"),
        ("type=file;size=-1;modify=191260102030405; a; b", "file|-|-|-|-|-|-|a; b|-"),
        // NcFTPd: no last semicolon
        ("Type=file;Size=5 a; b", "file|5|-|-|-|-|-|a; b|-"),
        // blanks in a value
        ("type=OS.unix=slink:/my dir;size=3; a; b", "link|3|-|-|-|-|-|a; b|/my dir"),
        ("type=dir;UNIX.group=Domain Users; x", "dir|-|-|-|-|-|Domain Users|x|-"),
        // an unknown kind, an unknown fact, no type
        ("type=OS.z/OS=whatever;x.y=1; a", "other|-|-|-|-|-|-|a|-"),
        ("size=5; a", "other|5|-|-|-|-|-|a|-"),
        // MLST, as its reply gives it
        (" type=file;size=5; /a b", "file|5|-|-|-|-|-|/a b|-"),
    ] {
        reads(line, expected);
    }
    assert_eq!(facts::parse(b" only a name\r\n").unwrap().name, &b"only a name"[..]);
    assert_eq!(facts::parse(b"unique=fd01g1220c04; x").unwrap().unique, Some((0xfd01, 0x122_0c04)));
    assert_eq!(facts::parse(b"perm=LE; x").unwrap().perm, Some(Perm::LIST | Perm::ENTER));
}

#[test]
fn lines_that_are_no_entry() {
    for line in [
        "",
        "\r\n",
        " ",
        "total 12",
        "insgesamt 12",
        "a name",
        "a=b",
        "type=file;size=5;",
        "type=file; ",
        "04-27-00  12:09PM       <DIR>          dos",
        "d [R----F--] supervisor            512       Jan 16 18:53    netware",
        "-rw-r--r--",
        "-rw-r--r-- 1 a b 5",
        "-rw-r--r-- 1 a b 5 Nov 22 13:40",
        "-rw-r--r-- 1 a b 5 Nov 22 13:40 ",
        "-rw-r--r-- 1 a b x Nov 22 13:40 x",
        "-rw-r--r-- 1 a b 5 Nox 22 13:40 x",
        "-rw-r-zr-- 1 a b 5 Nov 22 13:40 x",
        "-rw-r--r--# 1 a b 5 Nov 22 13:40 x",
        "lrwxrwxrwx 1 a b 5 Nov 22 13:40  -> x",
    ] {
        assert_eq!(parse_line(line.as_bytes(), NOW), None, "{line}");
    }
}

/// No line makes a reader panic, or read a name that is not in the line.
#[test]
fn damaged_lines_do_no_harm() {
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let lines = [
        long(&file("a name")),
        long(&link("a", Some("b"))),
        fact_line(&Entry { uid: Some(1), unique: Some((1, 2)), ..file("a name") }, FactSet::ALL),
        "brw-r----- 1 root disk 8, 1 Nov 22 13:40:48 2024 x".to_string(),
        "-rw-r--r-- 1 a b 7 2005-06-07 21:22:33.123 +0200 x".to_string(),
    ];
    for _ in 0..200_000 {
        let mut line = lines[random(lines.len())].clone().into_bytes();
        for _ in 0..=random(4) {
            let at = random(line.len());
            match random(4) {
                0 => line[at] = b" -;=:,./\0\n9dN\xff"[random(14)],
                1 => line.truncate(at.max(1)),
                2 => line.insert(at, b" -;=:,./\0\n9dN\xff"[random(14)]),
                _ => drop(line.drain(at..(at + random(8)).min(line.len()))),
            }
            if line.is_empty() {
                line.push(b' ');
            }
        }
        if let Some(entry) = parse_line(&line, NOW) {
            assert!(!entry.name.is_empty());
            let kept = entry.clone().into_owned();
            assert_eq!(kept, entry);
            assert!(line.windows(kept.name.len()).any(|window| window == &kept.name[..]));
        }
    }
}

#[test]
fn an_owned_entry_outlives_its_line() {
    let line = "lrwxrwxrwx 1 ann staff 5 Nov 22 13:40 x -> y".to_string();
    let kept: Entry<'static> = parse_line(line.as_bytes(), NOW).unwrap().into_owned();
    drop(line);
    assert_eq!(kept.kind, Kind::Link { target: Some(Cow::Owned(b"y".to_vec())) });
    assert_eq!(kept.owner.as_deref(), Some(&b"ann"[..]));
}
