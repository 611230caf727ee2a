use super::*;

const RETRIEVE: &str = r#"# RFC 959 §5.4: a file is retrieved.
#
# More prose.
@ user ann pass secret   file /a.txt "hello\r\n"
@ perm list,read   policy idle=300s delay=0s   dir "/a b"

S: 220-*
 hello *
 ...
S: 220 *
C: CWD a\x20
C: ABOR\xff\xf2\
S: 229 * (|||{port}|)
=> 229 * (|||{outside}|)  # the same line beyond a gateway
! client connects {port}
D< hello\r\n
D> repeat("x", 100000)
! stored /a.txt "he\"llo"
! wait 90s
! data closed by server
N: complete Retrieve bytes=7
"#;

#[test]
fn a_script_is_printed_as_it_was_written() {
    let script = Script::parse("retrieve.session", RETRIEVE).unwrap();
    assert_eq!(script.to_string(), RETRIEVE);
    assert_eq!(script.title(), "RFC 959 §5.4: a file is retrieved.");
    assert_eq!(script.setup().count(), 5);
}

#[test]
fn errors_name_file_line_and_what_is_wrong() {
    let wrong = |source: &str| {
        let source = format!("# Title\n{source}\n");
        Script::parse("a.session", &source).unwrap_err().to_string()
    };
    for (source, said) in [
        ("X: hello", "a.session:2: \"X:\" begins no line"),
        ("S: 2x0 hello", "a.session:2: a reply begins with its code"),
        ("S: 211-hello\nC: NOOP", "a.session:3: the 211 reply has not ended"),
        ("S: 211-hello\nS: 212 end", "a.session:3: the 211 reply ends with"),
        ("S: 211-hello", "a.session:2: the 211 reply has no end"),
        (" hello", "a.session:2: a line that begins with a blank"),
        ("C: CWD a ", "a.session:2: a blank at the end"),
        ("! client sleeps", "is no event"),
        ("! wait 5", "is not a time"),
        ("@ user ann", "pass PASS"),
        ("@ file /a hello", "between quotes"),
        ("@ file /a \"hello", "never closed"),
        ("@ perm all", "no permission"),
        ("@ fault RETR bad-luck", "no reason is called"),
    ] {
        let message = wrong(source);
        assert!(message.contains(said), "{source:?}: {message}");
    }
    assert!(Script::parse("a.session", "C: NOOP\n").unwrap_err().what.contains("title"));
}
