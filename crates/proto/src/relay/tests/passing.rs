use super::lobby::Hall;
use super::*;
use alloc::vec;

/// A client's hello that asks for a host, or for none.
fn hello(name: &str) -> Vec<u8> {
    let vector = |width: usize, content: &[u8]| {
        let length = content.len().to_be_bytes();
        [&length[length.len() - width..], content].concat()
    };
    let list = [&[0][..], &vector(2, name.as_bytes())].concat();
    let extension = [&[0, 0][..], &vector(2, &vector(2, &list))].concat();
    let extensions = if name.is_empty() { Vec::new() } else { extension };
    let body =
        [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 0x01, 1, 0], &vector(2, &extensions)].concat();
    let message = [&[1][..], &vector(3, &body)].concat();
    [&[22, 3, 1][..], &vector(2, &message)].concat()
}

fn desk(rows: &[(By, &str, &str)], otherwise: Option<&str>) -> Desk {
    let row = |(by, pattern, to): &(By, &str, &str)| {
        Route::new(*by, pattern.as_bytes(), String::from(*to))
    };
    let rows = rows.iter().map(row).collect();
    Desk::Routes(Routes { rows, otherwise: otherwise.map(String::from) })
}

const ROWS: [(By, &str, &str); 3] = [
    (By::Host, "ftp.red.example", "red"),
    (By::Sni, "*.blue.example", "blue"),
    (By::Host, "ftp.green.example", "green"),
];

fn chosen(group: &str) -> String {
    format!("Choose(Group({group:?}))")
}

const BEGIN: &str = "C 234 Begin TLS.";

#[test]
fn the_name_in_the_hello_chooses_and_the_hello_goes_on_untouched() {
    let mut hall = Hall::new(desk(&ROWS, None), Policy::default());
    assert_eq!(hall.says("AUTH TLS\r\n"), BEGIN);
    let hello = hello("FTP.blue.example");
    assert_eq!(hall.sends(&hello), format!("pass TLS\n{}", chosen("blue")));
    // Early data come behind it.
    hall.lobby.handle(Heard::Bytes(b"\x17\x03\x03"));
    let mut rig = hall.relay(Policy::default());
    rig.bytes(Leg::Client, b"\x17\x03\x03");
    rig.server("120 soon\r\n220-Blue\r\n220 ready\r\n");
    assert_eq!(rig.take(), "Protect(Legs { client: false, server: false })\nS AUTH TLS");
    rig.relay.handle(rig.now, Input::Bytes(Leg::Server, b"234 go\r\n"));
    let expected = [&hello[..], b"\x17\x03\x03"].concat();
    let written: Vec<Effect> = core::iter::from_fn(|| rig.relay.poll()).collect();
    assert!(written.contains(&Effect::Write(Leg::Server, expected)), "{written:?}");
    assert_eq!(written.last(), Some(&Effect::Opaque));
    assert!(rig.relay.is_opaque() && rig.relay.farewell(Reason::ShuttingDown).is_empty());
    rig.bytes(Leg::Server, b"\x16\x03\x03");
    assert_eq!(rig.take(), "C hello of 3 bytes", "the server's own");
}

#[test]
fn the_first_row_that_fits_counts_and_host_is_said_again() {
    let auth = |host: &str| {
        let mut hall = Hall::new(desk(&ROWS, Some("rest")), Policy::default());
        hall.says(&format!("HOST {host}\r\n"));
        let said = hall.says("AUTH TLS\r\n");
        (hall, said)
    };
    let (hall, said) = auth("ftp.red.example");
    assert_eq!(said, chosen("red"), "it stands before all names of handshakes");
    assert!(!hall.lobby.introduce().passes());

    let (mut hall, said) = auth("ftp.green.example");
    assert_eq!(said, BEGIN);
    assert!(hall.sends(&hello("ftp.blue.example")).ends_with(&chosen("blue")));
    let (mut hall, _) = auth("ftp.green.example");
    assert!(hall.sends(&hello("ftp.other.example")).ends_with(&chosen("green")));
    let mut rig = hall.relay(Policy::default());
    rig.server("220 ready\r\n");
    assert!(rig.take().ends_with("S HOST ftp.green.example"));
    rig.server("504 no\r\n");
    assert_eq!(rig.take(), "S AUTH TLS", "its answer goes nowhere");

    let (mut hall, _) = auth("other");
    assert!(hall.sends(&hello("")).ends_with(&chosen("rest")));
    let mut hall = Hall::new(desk(&[(By::User, "*", "red")], None), Policy::default());
    assert!(hall.says("AUTH TLS\r\n").contains("C 502"), "nobody could be chosen");
}

#[test]
fn who_cannot_be_sent_on_hears_so_in_words_it_understands() {
    let speaks = |bytes: &[u8]| {
        let mut hall = Hall::new(desk(&ROWS, None), Policy::default());
        hall.says("AUTH TLS\r\n");
        hall.sends(bytes)
    };
    let nobody =
        "refuse TLS reason=route-unknown\nclose session reason=route-unknown\nC alert 112\nEnd";
    for name in ["ftp.green.example", ""] {
        assert_eq!(speaks(&hello(name)), nobody, "{name}");
    }
    let clear = speaks(b"USER ann\r\n");
    let expected =
        "close session reason=hello-unreadable\nC 421 The first words of TLS cannot be read.\nEnd";
    assert_eq!(clear, expected);
    let mut broken = hello("ftp.blue.example");
    broken[5] = 2;
    assert!(speaks(&broken).ends_with("C alert 50\nEnd"));
    let long = [&hello("")[..3], &[0x40, 0, 1, 0, 0x40, 1], &[0; 0x4000]].concat();
    assert!(speaks(&long).ends_with("C alert 50\nEnd"), "longer than is read");
    let mut hall = Hall::new(desk(&ROWS, None), Policy::default());
    hall.feed = usize::MAX;
    let injected = [&b"AUTH TLS\r\n"[..], &hello("ftp.blue.example")].concat();
    assert!(hall.sends(&injected).contains("C 421 Clear text came behind AUTH"));
    let mut hall = Hall::new(desk(&ROWS, None), Policy::default());
    assert!(hall.says("AUTH SSL\r\n").contains("C 504"), "the gateway answers itself");
}

#[test]
fn a_server_that_does_not_go_along_ends_it_with_an_alert() {
    let meets = |said: &str| {
        let mut hall = Hall::new(desk(&ROWS, None), Policy::default());
        hall.says("AUTH TLS\r\n");
        hall.sends(&hello("ftp.blue.example"));
        let mut rig = hall.relay(Policy::default());
        rig.server(said);
        rig.take()
    };
    for (said, reason) in [
        ("220 ready\r\n502 no\r\n", "tls-unavailable"),
        ("220 ready\r\n234 go\r\n230 in\r\n", "clear-text-behind-auth"),
        ("noise\r\n421 full\r\n", "server-busy"),
    ] {
        let seen = meets(said);
        let end = format!("close session reason={reason}\nC alert 80\nEnd");
        assert!(seen.ends_with(&end), "{said}: {seen}");
        assert!(!seen.contains("S hello") && seen.matches("C ").count() == 1, "{seen}");
    }
    let mut hall = Hall::new(desk(&ROWS, None), Policy::default());
    hall.says("AUTH TLS\r\n");
    hall.sends(&hello("ftp.blue.example"));
    let mut rig = hall.relay(Policy::default());
    rig.server("220 re");
    rig.input(Input::Eof(Leg::Server));
    assert!(rig.take().ends_with("reason=server-busy\nC alert 80\nEnd"));
}

#[test]
fn tls_from_the_first_byte_on_is_sent_on_by_its_name() {
    let open = |otherwise| {
        Hall::opened(Lobby::new(desk(&ROWS, otherwise), Policy::default(), Opening::Unread))
    };
    let mut hall = open(None);
    assert_eq!(hall.take(), "", "it is not greeted");
    let hello = hello("ftp.blue.example");
    assert!(hall.sends(&hello).ends_with(&chosen("blue")));
    let mut rig = hall.relay(Policy::default());
    rig.drain();
    let protect = "Protect(Legs { client: false, server: false })";
    let passes = format!("{protect}\npass session\nS hello of {} bytes\nOpaque", hello.len());
    assert_eq!(rig.take(), passes);
    rig.bytes(Leg::Server, b"\x15\x03");
    assert_eq!(rig.take(), "C \u{15}\u{3}");
    let mut hall = open(None);
    assert!(hall.says("USER ann\r\n").ends_with("C alert 50\nEnd"));
    let mut hall = open(Some("rest"));
    assert!(hall.sends(&self::hello("x")).ends_with(&chosen("rest")));
    assert!(hall.lobby.introduce().is_unread());
}

#[test]
fn rows_are_weighed_before_the_hello_as_after_it() {
    let rows = vec![(By::User, "*", "a"), (By::Host, "b", "b"), (By::Sni, "*", "c")];
    let Desk::Routes(routes) = desk(&rows, None) else { panic!() };
    let early = |host: Option<&[u8]>| routes.before_handshake(host);
    assert_eq!(early(Some(b"B")), route::Early::Group("b"));
    assert_eq!(early(None), route::Early::ByName);
}
