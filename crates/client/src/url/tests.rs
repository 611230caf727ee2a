use super::*;

#[test]
fn each_part_is_read_and_decoded() {
    let url = Url::parse("ftp://ann:s%65cr%40t@ftp.example.net:2121/a%20b/c;type=a").unwrap();
    assert_eq!((url.host(), url.port()), ("ftp.example.net", 2121));
    let credentials = url.credentials().unwrap();
    assert_eq!((&credentials.user[..], &credentials.password.0[..]), (&b"ann"[..], &b"secr@t"[..]));
    assert_eq!(*url.path().0, *b"a b/c");
    assert_eq!(url.file_name(), Some(&b"c"[..]));
    assert_eq!(url.representation(), Some(Representation::Ascii));
}

#[test]
fn paths_are_relative_absolute_and_bytes() {
    for (text, path, name) in [
        ("ftp://h", &b""[..], None),
        ("ftp://h/", b"", None),
        ("FTP://h/a", b"a", Some(&b"a"[..])),
        ("ftp://h/a/", b"a/", None),
        ("ftp://h/%2Fetc/passwd", b"/etc/passwd", Some(b"passwd")),
        ("ftp://h//etc", b"/etc", Some(b"etc")),
        ("ftp://h/%E4%FF", b"\xe4\xff", Some(b"\xe4\xff")),
        ("ftp://h/a/../b", b"a/../b", Some(b"b")),
        ("ftp://h/a?b#c", b"a?b#c", Some(b"a?b#c")),
        ("ftp://h/..", b"..", None),
        ("ftp://h/100%", b"100%", Some(b"100%")),
        ("ftp://h/a;type=I", b"a", Some(b"a")),
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!((&url.path().0[..], url.file_name()), (path, name), "{text}");
    }
}

#[test]
fn hosts_and_ports() {
    for (text, host, port) in [
        ("ftp://[::1]/", "::1", 21),
        ("ftp://[::1]:2121/", "::1", 2121),
        ("ftp://[fe80::1%25eth0]/", "fe80::1%eth0", 21),
        ("ftp://192.0.2.1:/", "192.0.2.1", 21),
        ("ftp://a:b@c:d@h/", "h", 21),
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!((url.host(), url.port()), (host, port), "{text}");
    }
}

#[test]
fn what_is_no_url_is_refused_without_repeating_it() {
    for text in [
        "",
        "http://h/",
        "h/a",
        "ftp:///a",
        "ftp://secret:hunter2@/a",
        "ftp://:hunter2@h/a",
        "ftp://u:hunter2@h:0/",
        "ftp://u:hunter2@h:65536/",
        "ftp://u:hunter2@h:x/",
        "ftp://u:hunter2@::1/",
        "ftp://[::1/",
        "ftp://[h]/",
        "ftp://[::1]x/",
        "ftp://h/a%0D%0ADELE%20b",
        "ftp://h/a%00",
        "ftp://u%0A:hunter2@h/",
        "ftp://u:hunter2%0A@h/",
        "ftp://h%20h/",
        "ftp://h/a;type=x",
    ] {
        let error = Url::parse(text).unwrap_err();
        assert_eq!(error.class(), Class::Usage, "{text}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
    }
}

#[test]
fn it_is_shown_without_its_password() {
    let url = Url::parse("ftp://ann:hunter2@[::1]:2121/a%1Bb").unwrap();
    assert_eq!(url.to_string(), "ftp://ann@[::1]:2121/a\\x1bb");
    assert!(!format!("{url:?} {:?}", url.credentials()).contains("hunter2"));
}
