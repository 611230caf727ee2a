//! The 74 scenarios of servers that misbehave, as far as they concern plain FTP, over real sockets:
//! each must end as the table says, and within its time.
//!
//! Origin of the list: six clients measured against each; none passes all.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: a panic of its server fails it, as it should"
)]

mod odd;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use odd::{Close, Hang, Port, Reset, Say, Script, Send, Wait, content};
use twoport_client::{
    Class, Config, Error, GetOptions, Mode, Outcome, Reason, Session, Source, Trace, Url, blocking,
};

/// A test that hangs is a failure with a name.
const LIMIT: Duration = Duration::from_secs(20);

/// What becomes of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Confirmed,
    /// The file is whole, the server did not say so.
    Unconfirmed,
    /// An error, and no file under the final name.
    Fails(Class),
}

struct Case {
    name: &'static str,
    mode: Mode,
    script: Script,
    end: End,
    /// In milliseconds.
    within: u128,
}

fn case(name: &'static str, script: Script) -> Case {
    Case { name, mode: Mode::Auto, script, end: End::Confirmed, within: 3000 }
}

fn fails(name: &'static str, class: Class, script: Script) -> Case {
    Case { end: End::Fails(class), ..case(name, script) }
}

fn pasv(name: &'static str, reply: &'static str) -> Case {
    Case { mode: Mode::Pasv, ..case(name, script().reply("PASV", reply)) }
}

fn epsv(name: &'static str, reply: &'static str) -> Case {
    Case { mode: Mode::Epsv, ..case(name, script().reply("EPSV", reply)) }
}

fn script() -> Script {
    Script::default()
}

#[expect(clippy::disallowed_methods, reason = "the test measures how long a client takes")]
fn clock() -> Instant {
    Instant::now()
}

async fn connect(script: Script, mode: Mode) -> (Result<Session, Error>, Arc<Mutex<Vec<String>>>) {
    let address = script.start().await;
    let url = Url::parse(&format!("ftp://ann:hunter2@{address}/a")).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&seen);
    let config = Config {
        mode,
        observer: Some(Arc::new(move |event| lines.lock().unwrap().push(event.to_string()))),
        ..Config::default()
    };
    (Session::connect(&url, config).await, seen)
}

async fn get(script: Script, mode: Mode, local: &Path) -> (Result<Outcome, Error>, String) {
    let (session, seen) = connect(script, mode).await;
    let show = || seen.lock().unwrap().join("\n");
    let mut session = match session {
        Ok(session) => session,
        Err(error) => return (Err(error), show()),
    };
    let got = session.get(&b"a"[..].into(), local, &GetOptions::default()).await;
    session.quit().await;
    (got.map(|report| report.outcome), show())
}

async fn check(case: Case) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    let started = clock();
    let getting = get(case.script, case.mode, &target);
    let Ok((got, trace)) = tokio::time::timeout(LIMIT, getting).await else {
        return Err(format!("{}: hangs", case.name));
    };
    let took = started.elapsed().as_millis();
    let shown = format!("{got:?}");
    let end = match got {
        Ok(Outcome::Confirmed) => End::Confirmed,
        Ok(Outcome::Unconfirmed(_)) => End::Unconfirmed,
        Err(error) => End::Fails(error.class()),
    };
    let file = std::fs::read(&target).ok();
    let file_fits = match end {
        End::Confirmed | End::Unconfirmed => file.as_deref() == Some(&content()),
        End::Fails(_) => file.is_none(),
    };
    let secret = format!("{shown}{trace}").contains("hunter2");
    if end == case.end && file_fits && took < case.within && !secret {
        return Ok(());
    }
    Err(format!(
        "{}: wanted {:?}, got {end:?} in {took} ms, file fits: {file_fits}, secret shown: {secret}\n\
         {shown}\n{trace}",
        case.name, case.end
    ))
}

async fn check_all(cases: Vec<Case>) {
    let checks: Vec<_> = cases.into_iter().map(|case| tokio::spawn(check(case))).collect();
    let mut failures = Vec::new();
    for check in checks {
        failures.extend(check.await.unwrap().err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test]
async fn where_no_data_move_a_listing_comes_over_the_control_connection() {
    let closed = script()
        .reply("EPSV", "502 No.\r\n")
        .reply("PASV", "502 No.\r\n")
        .reply("EPRT", "502 No.\r\n")
        .reply("PORT", "502 No.\r\n");
    for (verb, reply, source) in [
        (
            "STAT",
            "213-Status of .:\r\n -rw-r--r-- 1 ann users 5 Nov 22 13:40 c\r\n213 End\r\n",
            Source::Stat,
        ),
        ("MLST", "250-Facts:\r\n type=file;size=5; c\r\n250 End\r\n", Source::Mlst),
    ] {
        let (session, _) = connect(closed.clone().reply(verb, reply), Mode::Auto).await;
        let listing = session.unwrap().list(None).await.unwrap();
        assert_eq!((listing.source, listing.names().as_str()), (source, "c\n"));
        assert!(listing.without_data.unwrap().contains("EPSV"));
    }
    // Who asks for one mode, or a server that has neither, gets the error.
    for mode in [Mode::Auto, Mode::Epsv] {
        let (session, _) = connect(closed.clone(), mode).await;
        let error = session.unwrap().list(None).await.unwrap_err();
        assert_eq!(error.class(), Class::NoData);
    }
}

#[tokio::test]
async fn data_set_up() {
    let elsewhere = pasv("data only at the announced address", "227 (127,0,0,2,{p})\r\n");
    let elsewhere =
        Case { script: elsewhere.script.clone().port("PASV", Port::Elsewhere), ..elsewhere };
    let bad = pasv("227 with an octet above 255", "227 (127,0,0,1,999,1)\r\n");
    let hole = script().port("EPSV", Port::BlackHole);
    check_all(vec![
        pasv("227 with spaces", "227 Entering Passive Mode (127, 0, 0, 1, {p})\r\n"),
        pasv("227 with 0.0.0.0", "227 Entering Passive Mode (0,0,0,0,{p})\r\n"),
        pasv("227 with a private address", "227 Entering Passive Mode (10,9,9,9,{p})\r\n"),
        pasv("227 with a foreign address", "227 Entering Passive Mode (192,0,2,9,{p})\r\n"),
        elsewhere,
        pasv("227 as a block", "227-Entering\r\n227 Passive Mode (127,0,0,1,{p})\r\n"),
        pasv("200 in place of 227", "200 Entering Passive Mode (127,0,0,1,{p})\r\n"),
        pasv("227 without parentheses", "227 Entering Passive Mode 127,0,0,1,{p}\r\n"),
        pasv("227 with =", "227 =127,0,0,1,{p}\r\n"),
        pasv("227 with zeros", "227 Entering Passive Mode (127,000,000,001,{p})\r\n"),
        pasv("227 in other words", "227 ok, use 127,0,0,1,{p} now\r\n"),
        Case { end: End::Fails(Class::NoData), ..bad },
        case(
            "227 with an octet above 255 and no EPSV",
            script().reply("EPSV", "500 What?\r\n").reply("PASV", "227 (127,0,0,1,999,1)\r\n"),
        ),
        epsv("229 without parentheses", "229 Entering |||{port}|\r\n"),
        epsv("229 with two bars", "229 Entering (||{port}|)\r\n"),
        epsv("229 with an address", "229 Entering (|1|127.0.0.1|{port}|)\r\n"),
        epsv("229 with !", "229 Entering (!!!{port}!)\r\n"),
        epsv("EPSV answered by 227", "227 Entering Passive Mode (127,0,0,1,{p})\r\n"),
        case("EPSV 500", script().reply("EPSV", "500 What?\r\n")),
        case("EPSV 425", script().reply("EPSV", "425 No.\r\n")),
        Case { within: 2500, ..case("EPSV without an answer", script().reply("EPSV", "")) },
        case("EPSV answered by 421 and the end", script().reply("EPSV", "421 Bye.\r\n!close")),
        case("EPSV answered by the end", script().reply("EPSV", "!close")),
        case("EPSV to a closed port", script().port("EPSV", Port::Refused)),
        Case { within: 2500, ..case("EPSV to a black hole", hole.clone()) },
        Case { within: 6000, ..case("both to black holes", hole.port("PASV", Port::BlackHole)) },
        Case { mode: Mode::Eprt, ..case("EPRT", script()) },
        Case { mode: Mode::Port, ..case("PORT", script()) },
        case(
            "no passive at all",
            script()
                .reply("EPSV", "502 No.\r\n")
                .reply("PASV", "502 No.\r\n")
                .reply("EPRT", "502 No.\r\n"),
        ),
        Case {
            within: 6000,
            ..fails(
                "black holes, and the server reaches nobody",
                Class::NoData,
                script()
                    .port("EPSV", Port::BlackHole)
                    .port("PASV", Port::BlackHole)
                    .retr(&[Say("150 Here.\r\n"), Wait(15_000)]),
            )
        },
        fails(
            "nothing at all",
            Class::NoData,
            script()
                .reply("EPSV", "502 No.\r\n")
                .reply("PASV", "502 No.\r\n")
                .reply("EPRT", "502 No.\r\n")
                .reply("PORT", "502 No.\r\n"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_two_ends_of_a_transfer() {
    let whole = Send(100_000);
    let half = Send(50_000);
    let done = Say("226 Done.\r\n");
    let here = Say("150 Here.\r\n");
    let steps = |steps: &[odd::Step]| script().retr(steps);
    let unconfirmed = |name, script| Case { end: End::Unconfirmed, ..case(name, script) };
    check_all(vec![
        case("no 150, only 226", steps(&[whole.clone(), Close, done.clone()])),
        unconfirmed("226 never comes", steps(&[here.clone(), whole.clone(), Close])),
        unconfirmed(
            "the control connection is lost after the data",
            steps(&[here.clone(), whole.clone(), Close, Hang]),
        ),
        fails(
            "150, then 425 in every mode",
            Class::NoData,
            steps(&[here.clone(), Say("425 No data.\r\n")]),
        ),
        fails(
            "451 after the whole of the data",
            Class::Truncated,
            steps(&[here.clone(), whole.clone(), Close, Say("451 Disk.\r\n")]),
        ),
        fails(
            "half the data and 226",
            Class::Truncated,
            steps(&[here.clone(), half.clone(), Close, done.clone()]),
        ),
        fails(
            "half the data and 426",
            Class::Truncated,
            steps(&[here.clone(), half.clone(), Close, Say("426 Broken.\r\n")]),
        ),
        fails(
            "half the data, a reset, and 226",
            Class::Truncated,
            steps(&[here.clone(), half.clone(), Reset, done.clone()]),
        ),
        fails(
            "half the data and the end of both",
            Class::Truncated,
            steps(&[here.clone(), half.clone(), Hang]),
        ),
        fails(
            "421 while data flow",
            Class::Truncated,
            steps(&[here.clone(), half.clone(), Wait(100), Say("421 Down.\r\n"), Wait(5000)]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_two_ends_in_odd_orders() {
    let whole = Send(100_000);
    let half = Send(50_000);
    let done = Say("226 Done.\r\n");
    let here = Say("150 Here.\r\n");
    let steps = |steps: &[odd::Step]| script().retr(steps);
    check_all(vec![
        case(
            "150 and 226 in one segment",
            steps(&[Say("150 Here.\r\n226 Done.\r\n"), whole.clone(), Close]),
        ),
        case(
            "226 before the data",
            steps(&[here.clone(), done.clone(), Wait(1500), whole.clone(), Close]),
        ),
        case("150 after the data", steps(&[whole.clone(), Close, here.clone(), done.clone()])),
        case("two 226", steps(&[here.clone(), whole.clone(), Close, done.clone(), done.clone()])),
        case("two 150", steps(&[here.clone(), here.clone(), whole.clone(), Close, done.clone()])),
        case("125", steps(&[Say("125 On.\r\n"), whole.clone(), Close, done.clone()])),
        case("250 at the end", steps(&[here.clone(), whole.clone(), Close, Say("250 Done.\r\n")])),
        case(
            "a reset behind the last byte",
            steps(&[here.clone(), whole.clone(), Reset, done.clone()]),
        ),
        case(
            "the data are never closed",
            steps(&[here.clone(), whole.clone(), done.clone(), Wait(5000)]),
        ),
        case(
            "a block that opens 250- and ends 150",
            steps(&[
                Say("250-Free space:\r\n250- much\r\n150 Here.\r\n"),
                whole.clone(),
                Close,
                Wait(400),
                done.clone(),
            ]),
        ),
        case("the length only in the 150", {
            let script = steps(&[
                Say("150 Opening for a (100000 bytes).\r\n"),
                whole.clone(),
                Close,
                done.clone(),
            ]);
            script.reply("SIZE", "500 What?\r\n")
        }),
        fails("less than the 150 said", Class::Truncated, {
            let script = steps(&[
                Say("150 Opening for a (100000 bytes).\r\n"),
                half.clone(),
                Close,
                done.clone(),
            ]);
            script.reply("SIZE", "500 What?\r\n")
        }),
        fails("no such file", Class::Refused, script().reply("RETR", "550 No such file.\r\n")),
        fails(
            "the file and the session are refused",
            Class::Connect,
            script().reply("RETR", "421 Bye.\r\n!close"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn replies_and_logins() {
    let banner = |size: usize| [b"220 ", &vec![b'x'; size][..], b"\r\n"].concat();
    let long = {
        let lines = format!("220-{}\r\n", "y".repeat(67)).repeat(2800);
        script().greeting(format!("{lines}220 Hello.\r\n"))
    };
    let lf = script()
        .greeting("220 Hello.\n")
        .reply("USER", "331 Password?\n")
        .reply("PASS", "230-In\n230 In.\n")
        .reply("EPSV", "229 (|||{port}|)\n")
        .retr(&[Say("150 Here.\n"), Send(100_000), Close, Say("226 Done.\n")]);
    check_all(vec![
        case("reply lines end in LF only", lf),
        case("a banner line of 70 kB", script().greeting(banner(70_000))),
        case("a banner of 200 kB in 2800 lines", long),
        case(
            "Telnet before the banner",
            script().greeting(b"\xff\xfb\x01\xff\xfd\x03220 Hi.\r\n".to_vec()),
        ),
        case("120 then 220", script().greeting("120 Soon.\r\n220 Hello.\r\n")),
        case("an inner line 220text", script().greeting("220-Hello\r\n220text\r\n220 end\r\n")),
        case(
            "an inner line 530",
            script().reply("PASS", "230-In\r\n530 not really\r\n230 In.\r\n"),
        ),
        case("a block that ends 230 alone", script().reply("PASS", "230-In\r\n230\r\n")),
        case("a NUL in a reply", script().reply("PASS", "230 I\0n.\r\n")),
        case("a byte at a time", Script { slowly: true, ..script() }),
        case("FEAT 500", script().reply("FEAT", "500 What?\r\n")),
        case("FEAT 530", script().reply("FEAT", "530 Log in.\r\n")),
        case(
            "FEAT prefixed",
            script().reply("FEAT", "211-Features\r\n211-SIZE\r\n211-UTF8\r\n211 End\r\n"),
        ),
        case("FEAT of one line", script().reply("FEAT", "211 none\r\n")),
        case("226 to TYPE", script().reply("TYPE", "226 Done.\r\n")),
        case("SIZE 500", script().reply("SIZE", "500 What?\r\n")),
        case("SIZE 0", script().reply("SIZE", "213 0\r\n")),
        case("SIZE with words", script().reply("SIZE", "213 100000 bytes\r\n")),
        case("MDTM with words", script().reply("MDTM", "213 yesterday\r\n")),
        case("230 to USER", script().reply("USER", "230 In.\r\n")),
        case("202 to PASS", script().reply("PASS", "202 In.\r\n")),
        case("230 in place of the greeting", script().greeting("230 In.\r\n")),
        case("QUIT is never answered", script().reply("QUIT", "")),
        fails("HTTP", Class::Protocol, script().greeting("HTTP/1.1 400 Bad Request\r\n\r\n")),
        fails("the end at once", Class::Connect, script().reply("USER", "!close")),
        fails("a full server", Class::Connect, script().greeting("421 Too many users.\r\n")),
        fails(
            "a wrong password",
            Class::Login,
            script().reply("PASS", "530 hunter2 is wrong.\r\n"),
        ),
        fails("TLS wanted", Class::Login, script().reply("USER", "530 Use TLS first.\r\n")),
        fails("an account wanted", Class::Login, script().reply("PASS", "332 Account?\r\n")),
        fails("TYPE refused", Class::Refused, script().reply("TYPE", "504 No.\r\n")),
    ])
    .await;
}

#[tokio::test]
async fn two_downloads_with_doubled_ends() {
    let done = Say("226 Done.\r\n");
    let script = script().retr(&[
        Say("150 Here.\r\n"),
        Send(100_000),
        Close,
        done.clone(),
        Wait(50),
        done.clone(),
    ]);
    let (session, _) = connect(script, Mode::Auto).await;
    let mut session = session.unwrap();
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        let target = dir.path().join(name);
        let got = session.get(&b"a"[..].into(), &target, &GetOptions::default()).await.unwrap();
        assert_eq!(got.outcome, Outcome::Confirmed);
        assert_eq!(std::fs::read(target).unwrap(), content());
    }
}

#[tokio::test]
async fn empty_listings() {
    for (name, script) in [
        ("450", script().reply("LIST", "450 No files.\r\n")),
        ("550", script().reply("LIST", "550 No files.\r\n")),
        ("a bare 226", script().reply("LIST", "226 Done.\r\n")),
        ("nothing between", script().retr(&[Say("150 Here.\r\n"), Close, Say("226 Done.\r\n")])),
    ] {
        let started = clock();
        let mut session = connect(script, Mode::Auto).await.0.unwrap();
        for path in [None, Some(b"empty"[..].into())] {
            let listing = session.list(path.as_ref()).await.unwrap();
            assert!(listing.entries.is_empty() && listing.raw.is_empty(), "{name}");
        }
        assert!(started.elapsed() < Duration::from_secs(6), "{name}");
    }
    let missing = script().reply("LIST", "550 No such.\r\n").reply("CWD", "550 No such.\r\n");
    let mut session = connect(missing, Mode::Auto).await.0.unwrap();
    let error = session.list(Some(&b"missing"[..].into())).await.unwrap_err();
    assert_eq!(error.class(), Class::Refused);
}

#[tokio::test]
async fn a_part_is_resumed_and_a_changed_file_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    let half = script().retr(&[Say("150 Here.\r\n"), Send(50_000), Close, Say("426 Cut.\r\n")]);
    // One server that cuts, then works, must be one address: the part belongs to it.
    let listener = half.start().await;
    let url = Url::parse(&format!("ftp://ann:hunter2@{listener}/a")).unwrap();
    let resume = GetOptions { resume: true, ..GetOptions::default() };
    let mut session = Session::connect(&url, Config::default()).await.unwrap();
    let error = session.get(url.path(), &target, &resume).await.unwrap_err();
    assert_eq!(error.class(), Class::Truncated);
    assert!(!target.exists());
    // The second half comes from the same script, which sends 50 kB from the restart point; the
    // reply is still the 426.
    let error = session.get(url.path(), &target, &resume).await.unwrap_err();
    assert_eq!(error.class(), Class::Truncated);
    let part = dir.path().join(".a.twoport-part");
    assert_eq!(std::fs::read(&part).unwrap(), content());
    // All bytes are there and the length fits: nothing is left to ask for.
    let report = session.get(url.path(), &target, &resume).await.unwrap();
    assert_eq!((report.bytes, report.resumed_at), (0, 100_000));
    assert_eq!(std::fs::read(&target).unwrap(), content());
    let date = std::fs::metadata(&target).unwrap().modified().unwrap();
    let since = date.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 1_767_323_045);
}

/// What becomes of a session that wants TLS, and what was sent for it.
async fn secured(script: Script, scheme: &str) -> (Class, Option<Reason>, String) {
    let address = script.start().await;
    let url = Url::parse(&format!("{scheme}://ann:hunter2@{address}/a")).unwrap();
    let seen = Arc::new(Mutex::new(String::new()));
    let lines = Arc::clone(&seen);
    let observer = move |event: Trace<'_>| {
        if let Trace::Sent(line) = event {
            lines.lock().unwrap().push_str(&format!("{line};"));
        }
    };
    let config = Config {
        observer: Some(Arc::new(observer)),
        ..Config::default().with_timeout(Duration::from_secs(1))
    };
    let error = Session::connect(&url, config).await.unwrap_err();
    let sent = seen.lock().unwrap().clone();
    (error.class(), error.reason(), sent)
}

/// Nothing that was said in clear counts once TLS was asked for, and no password goes out without.
#[tokio::test]
async fn tls_that_does_not_come() {
    for (auth, reason) in [
        ("502 No.\r\n", Reason::TlsRefused),
        ("504 Known are: SSL.\r\n", Reason::TlsRefused),
        ("530 Log in first.\r\n", Reason::TlsRefused),
        ("230 You are in.\r\n", Reason::TlsRefused),
        // Curl 983: a reply that somebody put behind the 234.
        ("234 Go on.\r\n230 You are in.\r\n", Reason::ClearBehindAuth),
        ("234 Go on.\r\n331 ", Reason::ClearBehindAuth),
        ("421 Bye.\r\n!close", Reason::ControlClosing),
        // It answers the handshake in clear.
        ("234 Go on.\r\n", Reason::TlsFailed),
        ("234 Go on.\r\n!close", Reason::TlsFailed),
    ] {
        let end = secured(script().reply("AUTH", auth), "ftpes").await;
        assert_eq!((end.1, end.2.as_str()), (Some(reason), "AUTH TLS;"), "{auth:?}");
        let class = if reason == Reason::ControlClosing { Class::Connect } else { Class::Tls };
        assert_eq!(end.0, class, "{auth:?}");
    }
    // Curl 986: in clear without a login.
    let welcome = script().greeting("230 You are in.\r\n");
    let end = secured(welcome, "ftpes").await;
    assert_eq!((end.1, end.2.as_str()), (Some(Reason::TlsRefused), "AUTH TLS;"));
    // It was offered, and is not in clear any more, also where it is not required.
    let half = script().reply("AUTH", "234 Go on.\r\n230 You are in.\r\n");
    let end = secured(half, "ftp").await;
    assert_eq!((end.1, end.2.as_str()), (Some(Reason::ClearBehindAuth), "AUTH TLS;"));
    // A server in clear on the port of TLS.
    let (class, _, sent) = secured(script(), "ftps").await;
    assert_eq!((class, sent.as_str()), (Class::Tls, ""));
}

#[tokio::test]
async fn no_argument_becomes_a_command() {
    let mut session = connect(script(), Mode::Auto).await.0.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let evil = b"a\r\nDELE b"[..].into();
    let error =
        session.get(&evil, &dir.path().join("a"), &GetOptions::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::Usage);
    let got = session.get(&b"a"[..].into(), &dir.path().join("a"), &GetOptions::default()).await;
    assert_eq!(got.unwrap().outcome, Outcome::Confirmed, "the session is not hurt");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blocking_face_and_a_writer() {
    let address = script().start().await;
    let url = Url::parse(&format!("ftp://{address}/a")).unwrap();
    let (file, bytes) = tokio::task::spawn_blocking(move || {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a");
        let mut session = blocking::Session::connect(&url, Config::default()).unwrap();
        session.get(url.path(), &target, &GetOptions::default()).unwrap();
        let copy = dir.path().join("copy");
        let writer = std::fs::File::create(&copy).unwrap();
        session.get_to(url.path(), writer, &GetOptions::default()).unwrap();
        session.quit();
        (std::fs::read(target).unwrap(), std::fs::read(copy).unwrap())
    })
    .await
    .unwrap();
    assert!(file == content() && bytes == content());
}
