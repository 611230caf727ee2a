//! The verb table: all that is the same for every verb, one row each.
//!
//! What a verb does is in its handler; how its argument is read is in [`command`](crate::command).
//! (A table of uniform rows: exempt from the length of files.)

/// What an account may do. Each verb names the one it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Permission {
    /// See names, sizes and dates.
    List,
    /// Read the content of files.
    Read,
    /// Create files, and append to them or resume them.
    Write,
    /// Replace files that exist. Checked with `Write` when the target is known.
    Overwrite,
    /// Delete files and directories.
    Delete,
    /// Rename and move.
    Rename,
    /// Create directories.
    MakeDirectory,
    /// Set dates and modes.
    Attributes,
}

impl Permission {
    /// Each permission with its name in the configuration.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::List, "list"),
        (Self::Read, "read"),
        (Self::Write, "write"),
        (Self::Overwrite, "overwrite"),
        (Self::Delete, "delete"),
        (Self::Rename, "rename"),
        (Self::MakeDirectory, "make-directory"),
        (Self::Attributes, "attributes"),
    ];
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// All of them: what an account has unless it says otherwise.
    pub const ALL: Self = Self(0xff);
    /// Listing and reading: what `--anonymous` gives.
    pub const READ_ONLY: Self = Self::NONE.with(Permission::List).with(Permission::Read);

    /// The set with one more.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | 1 << permission as u8)
    }

    /// Whether the set has it.
    #[must_use]
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & 1 << permission as u8 != 0
    }
}

/// Whether a verb takes an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It takes none: with one it is answered 501.
    None,
    /// It may have one.
    Optional,
    /// It must have one: without it is answered 501.
    Required,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// The verb; an alias has that of its original.
    pub verb: Verb,
    /// The word on the wire, upper case.
    pub name: &'static str,
    /// Where it is defined.
    pub rfc: &'static str,
    /// Whether it takes an argument.
    pub shape: Shape,
    /// Whether it needs a login.
    pub login: bool,
    /// Whether it is answered while a transfer runs; others wait for its end.
    pub transfer: bool,
    /// What the account must be allowed.
    pub permission: Option<Permission>,
    /// Its line in FEAT (RFC 2389), where that is fixed text.
    pub feature: Option<&'static str>,
    /// How it is used, as HELP shows it.
    pub help: &'static str,
}

macro_rules! verbs {
    (@login yes) => { true }; (@login no) => { false };
    (@transfer now) => { true }; (@transfer wait) => { false };
    (@permission -) => { None }; (@permission $p:ident) => { Some(Permission::$p) };
    (@feature -) => { None }; (@feature $f:literal) => { Some($f) };
    ($($name:literal $verb:ident $rfc:literal $shape:ident $login:ident $transfer:ident
        $permission:tt $feature:tt $help:literal;)*) => {
        /// The table, sorted by name.
        pub static TABLE: &[Row] = &[$(Row {
            verb: Verb::$verb,
            name: $name,
            rfc: $rfc,
            shape: Shape::$shape,
            login: verbs!(@login $login),
            transfer: verbs!(@transfer $transfer),
            permission: verbs!(@permission $permission),
            feature: verbs!(@feature $feature),
            help: $help,
        },)*];
    };
}

/// A verb, whatever the word it was sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the table holds the RFC and the help of each")]
pub enum Verb {
    Ccc,
    Pbsz,
    Prot,
    Abor,
    Acct,
    Algs,
    Allo,
    Appe,
    Auth,
    Avbl,
    Cdup,
    Clnt,
    Comb,
    Csid,
    Cwd,
    Dele,
    Eprt,
    Epsv,
    Feat,
    Hash,
    Help,
    Host,
    Lang,
    List,
    Lprt,
    Lpsv,
    Mdtm,
    Mfct,
    Mff,
    Mfmt,
    Mkd,
    Mlsd,
    Mlst,
    Mode,
    Nlst,
    Noop,
    Opts,
    Pass,
    Pasv,
    Port,
    Pwd,
    Quit,
    Rang,
    Rein,
    Rest,
    Retr,
    Rmd,
    Rnfr,
    Rnto,
    Site,
    Size,
    Stat,
    Stor,
    Stou,
    Stru,
    Syst,
    Type,
    User,
    Xcrc,
    Xmd5,
    Xsha1,
    Xsha256,
    Xsha512,
}

// A transfer does not keep NOOP, STAT, ABOR and the log-in verbs waiting; all else is answered in
// turn behind its 226. Before login only what RFC 2577 §4 and old clients need is open.
verbs! {
//  name       verb     defined in            argument login transfer permission   FEAT                help
    "ABOR"     Abor     "RFC 959 §4.1.3"      None     yes   now      -            -                   "ABOR: abort the transfer in progress";
    "ACCT"     Acct     "RFC 959 §4.1.1"      Required no    wait     -            -                   "ACCT account: not needed here";
    "ALGS"     Algs     "RFC 6384 §11"        Optional no    wait     -            -                   "ALGS STATUS64 | ENABLE64 | DISABLE64: for gateways from IPv6 to IPv4";
    "ALLO"     Allo     "RFC 959 §4.1.3"      Required yes   wait     -            -                   "ALLO bytes: the size of the next upload, which is known to be whole by it";
    "APPE"     Appe     "RFC 959 §4.1.3"      Required yes   wait     Write        -                   "APPE path: append to a file";
    "AUTH"     Auth     "RFC 4217 §4"         Required no    wait     -            -                   "AUTH TLS: protect the control connection";
    "AVBL"     Avbl     "draft-peterson-streamlined-ftp-command-extensions" Optional yes wait List "AVBL" "AVBL [path]: bytes that can be stored";
    "CCC"      Ccc      "RFC 4217 §12.3"      None     yes   wait     -            -                   "CCC: back to clear commands; data stay protected";
    "CDUP"     Cdup     "RFC 959 §4.1.1"      None     yes   wait     -            -                   "CDUP: change to the parent directory";
    "CLNT"     Clnt     "draft-preston-ftpext-deflate" Required no wait -          "CLNT"              "CLNT name: the client tells its name";
    "COMB"     Comb     "draft-peterson-streamlined-ftp-command-extensions" Required yes wait Write "COMB" "COMB target part...: join parts into one file";
    "CSID"     Csid     "draft-peterson-streamlined-ftp-command-extensions" Required no wait - "CSID" "CSID name=...;version=...: client and server tell their names";
    "CWD"      Cwd      "RFC 959 §4.1.1"      Optional yes   wait     -            -                   "CWD [path]: change the directory; without a path to the log-in directory";
    "DELE"     Dele     "RFC 959 §4.1.3"      Required yes   wait     Delete       -                   "DELE path: delete a file";
    "EPRT"     Eprt     "RFC 2428 §2"         Required yes   wait     -            "EPRT"              "EPRT |protocol|address|port|: active mode";
    "EPSV"     Epsv     "RFC 2428 §3"         Optional yes   wait     -            "EPSV"              "EPSV [1|2|ALL]: passive mode";
    "FEAT"     Feat     "RFC 2389 §3"         None     no    wait     -            -                   "FEAT: what this server offers beyond RFC 959";
    "HASH"     Hash     "draft-bryan-ftpext-hash" Required yes wait   Read         -                   "HASH path: hash of a file, or of the RANG in it";
    "HELP"     Help     "RFC 959 §4.1.3"      Optional no    wait     -            -                   "HELP [verb]: this text";
    "HOST"     Host     "RFC 7151"            Required no    wait     -            "HOST"              "HOST name: the name by which the client knows this server";
    "LANG"     Lang     "RFC 2640 §4.1"       Optional no    wait     -            "LANG EN*"          "LANG [tag]: language of replies; EN only";
    "LIST"     List     "RFC 959 §4.1.3"      Optional yes   wait     List         -                   "LIST [path]: listing as ls -l shows it";
    "LPRT"     Lprt     "RFC 1639 §3"         Optional yes   wait     -            -                   "LPRT: obsolete, use EPRT";
    "LPSV"     Lpsv     "RFC 1639 §3"         Optional yes   wait     -            -                   "LPSV: obsolete, use EPSV";
    "MDTM"     Mdtm     "RFC 3659 §3"         Required yes   wait     List         "MDTM"              "MDTM [YYYYMMDDHHMMSS] path: date of a file, or set it";
    "MFCT"     Mfct     "draft-somers-ftp-mfxx" Required yes wait     Attributes   -                   "MFCT YYYYMMDDHHMMSS path: set the date of creation";
    "MFF"      Mff      "draft-somers-ftp-mfxx" Required yes wait     Attributes   "MFF modify;unix.mode;" "MFF fact=value;... path: set facts";
    "MFMT"     Mfmt     "draft-somers-ftp-mfxx" Required yes wait     Attributes   "MFMT"              "MFMT YYYYMMDDHHMMSS path: set the date of a file";
    "MKD"      Mkd      "RFC 959 §4.1.3"      Required yes   wait     MakeDirectory -                  "MKD path: make a directory";
    "MLSD"     Mlsd     "RFC 3659 §7"         Optional yes   wait     List         -                   "MLSD [path]: listing of a directory, for programs";
    "MLST"     Mlst     "RFC 3659 §7"         Optional yes   wait     List         -                   "MLST [path]: facts of one file, on the control connection";
    "MODE"     Mode     "RFC 959 §4.1.2"      Required yes   wait     -            -                   "MODE S: stream";
    "NLST"     Nlst     "RFC 959 §4.1.3"      Optional yes   wait     List         -                   "NLST [path]: names only";
    "NOOP"     Noop     "RFC 959 §4.1.3"      None     no    now      -            -                   "NOOP: nothing; keeps the connection alive";
    "OPTS"     Opts     "RFC 2389 §4"         Required no    wait     -            -                   "OPTS UTF8 ON | MLST facts | HASH algorithm: options of a verb";
    "P@SW"     Pasv     "RFC 959 §4.1.2"      None     yes   wait     -            -                   "P@SW: PASV, as some boxes in the network write it";
    "PASS"     Pass     "RFC 959 §4.1.1"      Optional no    now      -            -                   "PASS [password]: log in";
    "PASV"     Pasv     "RFC 959 §4.1.2"      None     yes   wait     -            -                   "PASV: passive mode, IPv4 only";
    "PBSZ"     Pbsz     "RFC 2228 §3"         Required no    wait     -            -                   "PBSZ 0: needed before PROT";
    "PORT"     Port     "RFC 959 §4.1.2"      Required yes   wait     -            -                   "PORT h1,h2,h3,h4,p1,p2: active mode, IPv4 only";
    "PROT"     Prot     "RFC 4217 §9"         Required no    wait     -            -                   "PROT C | P: data connections in clear or private";
    "PWD"      Pwd      "RFC 959 §4.1.3"      None     yes   wait     -            -                   "PWD: show the directory";
    "QUIT"     Quit     "RFC 959 §4.1.1"      None     no    wait     -            -                   "QUIT: end the session, after the transfer in progress";
    "RANG"     Rang     "draft-bryan-ftp-range" Required yes wait     -            "RANG STREAM"       "RANG first last: bytes for the next RETR or HASH; RANG 1 0 takes it back";
    "REIN"     Rein     "RFC 959 §4.1.1"      None     yes   now      -            -                   "REIN: log out, keep the connection";
    "REST"     Rest     "RFC 3659 §5"         Required yes   wait     -            "REST STREAM"       "REST offset: where the next transfer begins";
    "RETR"     Retr     "RFC 959 §4.1.3"      Required yes   wait     Read         -                   "RETR path: download";
    "RMD"      Rmd      "RFC 959 §4.1.3"      Required yes   wait     Delete       -                   "RMD path: remove a directory";
    "RNFR"     Rnfr     "RFC 959 §4.1.3"      Required yes   wait     Rename       -                   "RNFR path: rename from here; RNTO follows";
    "RNTO"     Rnto     "RFC 959 §4.1.3"      Required yes   wait     Rename       -                   "RNTO path: rename to here";
    "SITE"     Site     "RFC 959 §4.1.3"      Required no    wait     -            -                   "SITE HELP | CHMOD mode path | UTIME date path: what is special here";
    "SIZE"     Size     "RFC 3659 §4"         Required yes   wait     List         "SIZE"              "SIZE path: bytes of a file, as RETR would send it";
    "STAT"     Stat     "RFC 959 §4.1.3"      Optional no    now      -            -                   "STAT [path]: state of the session, or a listing on the control connection";
    "STOR"     Stor     "RFC 959 §4.1.3"      Required yes   wait     Write        -                   "STOR path: upload";
    "STOU"     Stou     "RFC 959 §4.1.3"      Optional yes   wait     Write        -                   "STOU [path]: upload under a name of the server's choice";
    "STRU"     Stru     "RFC 959 §4.1.2"      Required yes   wait     -            -                   "STRU F: file";
    "SYST"     Syst     "RFC 959 §4.1.3"      None     no    wait     -            -                   "SYST: the kind of system";
    "TYPE"     Type     "RFC 959 §4.1.2"      Required no    wait     -            -                   "TYPE A | I | L 8: text or bytes";
    "USER"     User     "RFC 959 §4.1.1"      Required no    now      -            -                   "USER name: log in";
    "XCRC"     Xcrc     "RFC 5797 registry"   Required yes   wait     Read         "XCRC"              "XCRC path: CRC-32 of a file";
    "XCUP"     Cdup     "RFC 775"             None     yes   wait     -            -                   "XCUP: CDUP";
    "XCWD"     Cwd      "RFC 775"             Optional yes   wait     -            -                   "XCWD [path]: CWD";
    "XMD5"     Xmd5     "RFC 5797 registry"   Required yes   wait     Read         "XMD5"              "XMD5 path: MD5 of a file";
    "XMKD"     Mkd      "RFC 775"             Required yes   wait     MakeDirectory -                  "XMKD path: MKD";
    "XPWD"     Pwd      "RFC 775"             None     yes   wait     -            -                   "XPWD: PWD";
    "XRMD"     Rmd      "RFC 775"             Required yes   wait     Delete       -                   "XRMD path: RMD";
    "XSHA1"    Xsha1    "RFC 5797 registry"   Required yes   wait     Read         "XSHA1"             "XSHA1 path: SHA-1 of a file";
    "XSHA256"  Xsha256  "RFC 5797 registry"   Required yes   wait     Read         "XSHA256"           "XSHA256 path: SHA-256 of a file";
    "XSHA512"  Xsha512  "RFC 5797 registry"   Required yes   wait     Read         "XSHA512"           "XSHA512 path: SHA-512 of a file";
}

/// The row of a word, in any case of letters.
#[must_use]
pub fn find(word: &[u8]) -> Option<&'static Row> {
    const LONGEST: usize = 8;
    let mut upper = [0_u8; LONGEST];
    let key = upper.get_mut(..word.len())?;
    key.copy_from_slice(word);
    key.make_ascii_uppercase();
    let index = TABLE.binary_search_by(|row| row.name.as_bytes().cmp(key)).ok()?;
    TABLE.get(index)
}

impl Verb {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut rows = TABLE.iter();
        rows.find(|row| row.verb == self && !row.is_alias()).map_or("", |row| row.name)
    }
}

impl Row {
    /// Whether the row is another word for a verb: the X verbs of RFC 775, and `P@SW`.
    #[must_use]
    pub fn is_alias(&self) -> bool {
        matches!(self.name, "P@SW" | "XCUP" | "XCWD" | "XMKD" | "XPWD" | "XRMD")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_each_row_is_found() {
        assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
        for row in TABLE {
            assert_eq!(find(row.name.to_ascii_lowercase().as_bytes()).unwrap().name, row.name);
            assert!(row.help.starts_with(row.name), "{}", row.name);
            if !row.is_alias() {
                assert_eq!(row.verb.name(), row.name);
            }
        }
        assert!(find(b"").is_none() && find(b"NOOPE").is_none() && find(b"VERYLONGVERB").is_none());
    }
}
